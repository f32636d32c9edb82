import { UsageError } from '../../model/errors.ts';
import type { TraceWriter } from '../writer.ts';
import type { Random } from './random.ts';

/** What the size of a workload is made of, by option. */
export interface Sizes {
  /** CPUs that drive devices, one queue of each device apiece; or run the program. */
  readonly cpus: number;
  /** CPUs that only run. */
  readonly busy: number;
  /** Devices, each in a domain of its own. */
  readonly devices: number;
  readonly pages: number;
  /** Entries of a ring or queue. */
  readonly depth: number;
  readonly ops: number;
  /** Operations per second and queue. */
  readonly rate: number;
  /** Per cent of mappings that the device uses once more after their unmap. */
  readonly late: number;
}

/** Least and most of each size. */
const BOUNDS: Readonly<Record<keyof Sizes, readonly [least: number, most: number]>> = {
  cpus: [1, 64],
  busy: [0, 63],
  devices: [1, 32],
  pages: [1, 1 << 22],
  depth: [1, 1 << 14],
  ops: [1, 1e9],
  rate: [1, 1e9],
  late: [0, 100],
};
export const SIZES = Object.keys(BOUNDS) as (keyof Sizes)[];

/** A size that a workload has: what it is there, and its default. */
export interface Size {
  readonly means: string;
  readonly is: number;
  /** Where the workload needs more than anybody else. */
  readonly least?: number;
}

/** A seeded synthetic workload. */
export interface Workload {
  readonly name: string;
  readonly summary: string;
  /** The real thing that it imitates. */
  readonly stands: string;
  readonly sizes: Readonly<Partial<Record<keyof Sizes, Size>>>;
  /** What it assumes of the real thing, one sentence each. */
  readonly assumes: readonly string[];
  /** Options that `compare` should have for it, beside the defaults. */
  readonly compare?: string;
  write(out: TraceWriter, sizes: Sizes, random: Random): void;
}

/** The sizes of a workload: those given, as they were typed, and defaults for the rest. */
export function parseSizes(workload: Workload, given: Readonly<Partial<Record<keyof Sizes, string>>>): Sizes {
  const parsed = SIZES.map((key) => {
    const size = workload.sizes[key];
    const text = given[key];
    if (size === undefined) {
      if (text === undefined) return [key, 0] as const;
      const known = Object.keys(workload.sizes).map((name) => `--${name}`);
      throw new UsageError(`${workload.name} has no --${key}, expected ${known.join(', ')}`);
    }
    if (text === undefined) return [key, size.is] as const;
    const [lowest, most] = BOUNDS[key];
    const least = Math.max(lowest, size.least ?? 0);
    if (!/^\d{1,10}$/.test(text) || Number(text) < least || Number(text) > most)
      throw new UsageError(`--${key} is "${text}", expected a whole number of ${least}..${most} (${size.means})`);
    return [key, Number(text)] as const;
  });
  return Object.fromEntries(parsed) as unknown as Sizes;
}
