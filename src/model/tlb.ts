import { UsageError } from './errors.ts';
import { quote } from './near.ts';
import { PAGE_SHIFT } from './units.ts';

/** Sets and ways of a cache; any number of sets. */
export interface Geometry {
  readonly sets: number;
  readonly ways: number;
}

/** Which entry of a full set makes room; what each does exactly stands in assembly/replacement.ts. */
export const REPLACEMENTS = ['lru', 'fifo', 'plru', 'random', 'srrip', 'lfu'] as const;
export type Replacement = (typeof REPLACEMENTS)[number];

/** A cache: its geometry, and which entry makes room. */
export interface CacheShape extends Geometry {
  readonly replacement: Replacement;
}

/** A cache that is not there: `none`. */
export const NO_CACHE: CacheShape = { sets: 0, ways: 0, replacement: 'lru' };

export const STRADDLES = ['both', 'one'] as const;
export const INVALIDATES = ['none', 'all', 'no-mprotect'] as const;

/** What `tlb` measures: two first levels over a shared second one, not inclusive. */
export interface TlbConfig {
  readonly l1d: CacheShape;
  readonly l1i: CacheShape;
  /** 0 sets: none. */
  readonly l2: CacheShape;
  /** Of random replacement; each cache draws for itself. */
  readonly seed: number;
  /** log2 of the page size, at least 12. */
  readonly pageShift: number;
  readonly dataOnly: boolean;
  /** Whether an access that crosses a page touches both pages or only its first. */
  readonly straddle: (typeof STRADDLES)[number];
  /** Which address-space changes invalidate. */
  readonly invalidate: (typeof INVALIDATES)[number];
}

/** A configuration from option texts; what is not given is as `tlb` has it. */
export function tlbConfigOf(given: LevelTexts & Partial<Omit<TlbConfig, keyof Levels>> = {}): TlbConfig {
  const { seed = 1, pageShift = PAGE_SHIFT, dataOnly = false, straddle = 'both', invalidate = 'none' } = given;
  return { ...levelsOf(given, undefined), seed, pageShift, dataOnly, straddle, invalidate };
}

type Levels = Pick<TlbConfig, 'l1d' | 'l1i' | 'l2'>;

/** Levels as options say them, each in place of what a CPU has. */
export interface LevelTexts {
  readonly l1?: string | undefined;
  readonly l1i?: string | undefined;
  readonly l2?: string | undefined;
  /** Of all levels. */
  readonly replacement?: Replacement | undefined;
}

/** Where neither options nor a CPU say anything. */
export const DEFAULT_LEVELS = { l1: '16x4', l2: '128x12', replacement: 'lru' } as const;

/** The three levels: what the options say, else what the CPU has, else the default; fetches as data. */
export function levelsOf({ l1, l1i, l2, replacement }: LevelTexts, cpu: Levels | undefined): Levels {
  const level = (text: string | undefined, option: string, otherwise: CacheShape): CacheShape => {
    const said = text === undefined ? otherwise : { ...otherwise, ...parseGeometry(text, option) };
    return { ...said, replacement: replacement ?? said.replacement };
  };
  const l1d = level(l1, '--l1', cpu?.l1d ?? parseCache(DEFAULT_LEVELS.l1, '--l1'));
  return {
    l1d,
    l1i: level(l1i, '--l1i', cpu?.l1i ?? l1d),
    l2: l2 === 'none' ? NO_CACHE : level(l2, '--l2', cpu?.l2 ?? parseCache(DEFAULT_LEVELS.l2, '--l2')),
  };
}

/** What one level saw. */
export interface LevelCounts {
  readonly accesses: number;
  readonly misses: number;
  /** Entries dropped by an address-space change. */
  readonly invalidated: number;
}

/** What `tlb` counts: each first level, and the second level that they share. */
export interface TlbResult {
  readonly l1d: LevelCounts;
  readonly l1i: LevelCounts;
  readonly l2: LevelCounts;
  /** Distinct pages, of the page size in use, that were accessed. */
  readonly pages: number;
}

/** Most entries of one cache: 2^20. */
export const MAX_ENTRIES = 1 << 20;

/** `64x4` -> 64 sets of 4 ways. `option` stands in the message. */
export function parseGeometry(text: string, option: string): Geometry {
  const match = /^(\d{1,7})x(\d{1,7})$/.exec(text);
  const sets = Number(match?.[1]);
  const ways = Number(match?.[2]);
  if (!(sets >= 1 && ways >= 1 && sets * ways <= MAX_ENTRIES)) {
    throw new UsageError(
      `${option} is "${text}", expected SETSxWAYS with at most ${MAX_ENTRIES} entries, such as 16x4`,
    );
  }
  return { sets, ways };
}

/** `16x4 plru`, or `16x4` for one that is LRU. `place` stands in the message. */
export function parseCache(text: string, place: string): CacheShape {
  const [geometry = '', replacement = 'lru', ...rest] = text.trim().split(/\s+/);
  const known = REPLACEMENTS.find((name) => name === replacement);
  if (known === undefined || rest.length > 0) {
    const read = quote([replacement, ...rest].join(' '));
    throw new UsageError(`${place}: read ${read} behind the geometry, expected one of ${REPLACEMENTS.join(', ')}`);
  }
  return { ...parseGeometry(geometry, place), replacement: known };
}

/** The text that `parseCache` reads; `none` for a cache that is not there. */
export function cacheText({ sets, ways, replacement }: CacheShape): string {
  return sets === 0 ? 'none' : `${sets}x${ways} ${replacement}`;
}

/** Number of a page in units of the page size in use. */
export function unitOf(vpn: number, pageShift: number): number {
  return Math.floor(vpn / 2 ** (pageShift - PAGE_SHIFT));
}
