import type { Costs } from './cost.ts';
import { UsageError } from './errors.ts';
import type { Machine } from './machine.ts';
import type { Policy } from './policy.ts';
import { PAGE_BYTES, PS_PER_NS } from './units.ts';

/** A device that follows a CPU: what `--device follow,...` says. Times in picoseconds. */
export interface Follow {
  /** Data accesses of the CPU per device access. */
  readonly every: number;
  /** Share of device accesses that write, 0..1. */
  readonly write: number;
  /** Mean lengths of the phases in which the device uses the address space, and in which it does not; idle 0 = always. */
  readonly active: number;
  readonly idle: number;
  readonly ats: boolean;
}

/** Everything that decides the numbers of one run, besides the trace. */
export interface RunSetup {
  readonly policy: Policy;
  readonly machine: Machine;
  readonly costs: Costs;
  readonly seed: number;
  /** Frames of memory, or null: as many as the program wants, and no reclaim. */
  readonly frames: number | null;
  readonly device: Follow | null;
  /** Exactly the stale entries vanish at each change, in no time: what overhead is measured against. */
  readonly ideal: boolean;
  /** CPUs that run the program: as many as were recorded, or, of one that was, this many by turns (see Dealer). */
  readonly cpus: number;
  /** How far a CPU's hits may run ahead of another CPU in user mode, picoseconds. Changes no number. */
  readonly lookahead: number;
}

/** Accesses that the device holds back until their page is gone, per mille of all; at least 50 are wanted. */
export const LATE_SHARE = 60;
/** A page counts as just gone for this many records of the program. */
export const LATE_RECORDS = 1000;
/** Between the seeds of one consumer and the next: each draws by itself. */
export const SEED_STEP = 4096;
/** Between the seeds of what devices behind one IOMMU draw: assembly/device.ts SEED_STEP. */
export const DEVICE_SEED_STEP = 256;
/** Seed of every random choice, and the largest one. */
export const DEFAULT_SEED = 1;
export const MAX_SEED = 2 ** 31 - 1;
/** Time from user mode to the first effect that others can see: a trap. */
export const DEFAULT_LOOKAHEAD = 100 * PS_PER_NS;
/** Reclaim works in batches of 32 pages; with fewer frames than this it could not keep up with one fault. */
export const MIN_FRAMES = 128;

const TIME: Readonly<Record<string, number>> = { ns: 1e3, us: 1e6, ms: 1e9, s: 1e12 };

/** `follow[,every=200][,write=30%][,active=5ms][,idle=5ms][,ats=on|off]`, or `none`. */
export function parseDevice(text: string): Follow | null {
  if (text === 'none') return null;
  const [kind, ...pairs] = text.split(',');
  if (kind !== 'follow')
    throw new UsageError(
      `--device is "${text}", expected none or follow[,every=200][,write=30%][,active=5ms][,idle=5ms][,ats=on|off]`,
    );
  const follow = { every: 200, write: 0.3, active: 5e9, idle: 5e9, ats: true };
  for (const pair of pairs) {
    const [key, value = ''] = pair.split('=');
    const bad = (expected: string): never => {
      throw new UsageError(`--device: ${key} is "${value}", expected ${expected}`);
    };
    if (key === 'every') follow.every = /^[1-9]\d{0,8}$/.test(value) ? Number(value) : bad('a count from 1 on');
    else if (key === 'write') follow.write = parseShare(value) ?? bad('a percentage such as 30%');
    else if (key === 'active') follow.active = parseTime(value) || bad('a time above 0, such as 5ms');
    else if (key === 'idle') follow.idle = parseTime(value) ?? bad('a time such as 5ms, or 0');
    else if (key === 'ats') follow.ats = value === 'on' || (value === 'off' ? false : bad('on or off'));
    else throw new UsageError(`--device: "${pair}" is not known, expected every=, write=, active=, idle= or ats=`);
  }
  return follow;
}

function parseShare(text: string): number | undefined {
  const match = /^(\d{1,3})%$/.exec(text);
  return match && Number(match[1]) <= 100 ? Number(match[1]) / 100 : undefined;
}

function parseTime(text: string): number | undefined {
  const match = /^(\d{1,6})(ns|us|ms|s)?$/.exec(text);
  if (!match || (match[2] === undefined && match[1] !== '0')) return undefined;
  return Number(match[1]) * (TIME[match[2] ?? 'ns'] ?? 0);
}

/** `50%` of the footprint, or a size such as 16MiB, in frames; `none`: no limit. */
export function parseMemory(text: string, footprint: number): number | null {
  if (text === 'none') return null;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(%|KiB|MiB|GiB|K|M|G)$/.exec(text);
  if (!match)
    throw new UsageError(`--memory is "${text}", expected none, a share such as 50%, or a size such as 16MiB`);
  const unit = { '%': footprint / 100, K: 1024 / PAGE_BYTES, M: 2 ** 20 / PAGE_BYTES, G: 2 ** 30 / PAGE_BYTES }[
    match[2]![0]!
  ]!;
  const frames = Math.floor(Number(match[1]) * unit);
  if (frames < MIN_FRAMES) {
    throw new UsageError(
      `--memory ${text} is ${frames} pages of the trace's ${footprint}, expected at least ${MIN_FRAMES} (512 KiB), or none`,
    );
  }
  return frames;
}

/** `a,b,...`, each once; nothing of nothing. `option` stands in the message. */
export function parseNames(text: string | undefined, option: string): string[] | undefined {
  if (text === undefined) return undefined;
  const list = text.split(',').map((name) => name.trim());
  if (list.includes('')) throw new UsageError(`${option} is "${text}", expected names with commas between`);
  const twice = list.find((name, i) => list.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`${option} names ${twice} twice`);
  return list;
}

/** A whole number of `least`..`most`; nothing of nothing. */
export function parseWhole<T extends string | undefined>(text: T, option: string, least: number, most: number) {
  if (text === undefined) return undefined as T extends string ? number : number | undefined;
  if (!/^\d{1,10}$/.test(text) || Number(text) < least || Number(text) > most) {
    throw new UsageError(`${option} is "${text}", expected a whole number of ${least}..${most}`);
  }
  return Number(text) as T extends string ? number : number | undefined;
}
