import type { Argv } from 'yargs';
import { parseWhole } from '../model/run.ts';
import {
  type CacheShape,
  INVALIDATES,
  NO_CACHE,
  parseGeometry,
  REPLACEMENTS,
  type Replacement,
  STRADDLES,
  type TlbConfig,
} from '../model/tlb.ts';
import { PAGE_SIZES, type PageSize } from '../model/units.ts';

/** What `tlbOptions` adds to the arguments of a command. */
export interface TlbArgs extends Pick<TlbConfig, 'straddle' | 'invalidate' | 'dataOnly'> {
  readonly replacement: Replacement;
  readonly seed: string;
  readonly l1: string;
  readonly l1i?: string;
  readonly l2: string;
  readonly pageSize: PageSize;
}

const sizes = Object.keys(PAGE_SIZES) as PageSize[];
const geometry = { type: 'string', requiresArg: true } as const;
const choice = { requiresArg: true } as const;

/** Geometry of the TLBs, and what counts as an access. */
export function tlbOptions<T>(y: Argv<T>) {
  return y
    .option('l1', { ...geometry, default: '16x4', describe: 'First-level data TLB, SETSxWAYS' })
    .option('l1i', { ...geometry, describe: 'First-level fetch TLB; as --l1 if not given' })
    .option('l2', { ...geometry, default: '128x12', describe: 'Shared second level, or none' })
    .option('replacement', { ...choice, choices: REPLACEMENTS, default: 'lru', describe: 'Which entry makes room' })
    .option('seed', { ...geometry, default: '1', describe: 'Seed of random replacement' })
    .option('page-size', { ...choice, choices: sizes, default: '4K', describe: 'Size of all pages' })
    .option('data-only', { type: 'boolean', default: false, describe: 'Leave instruction fetches out' })
    .option('straddle', {
      ...choice,
      choices: STRADDLES,
      default: 'both',
      describe: 'Pages touched by an access across two',
    })
    .option('invalidate', { ...choice, choices: INVALIDATES, default: 'none', describe: 'Changes that drop entries' });
}

/** The configuration that the arguments describe. */
export function tlbConfig({ l1, l1i, l2, replacement, seed, pageSize, ...rest }: TlbArgs): TlbConfig {
  const { dataOnly, straddle, invalidate } = rest;
  const cache = (text: string, option: string): CacheShape => ({ ...parseGeometry(text, option), replacement });
  return {
    l1d: cache(l1, '--l1'),
    l1i: l1i === undefined ? cache(l1, '--l1') : cache(l1i, '--l1i'),
    l2: l2 === 'none' ? NO_CACHE : cache(l2, '--l2'),
    seed: parseWhole(seed, '--seed', 0, 2 ** 31 - 1),
    ...{ dataOnly, straddle, invalidate, pageShift: PAGE_SIZES[pageSize] },
  };
}
