/** A grid of runs: traces x policies x machines x seeds x settings, and the rules that leave combinations out. */
import type { Reuse } from './dma.ts';
import { UsageError } from './errors.ts';
import { nearText } from './near.ts';
import type { RunResult, Verdict } from './result.ts';

/** One value on an axis. */
export type AxisValue = string | number | boolean;

/** Numbers from one end to the other. */
interface Range {
  readonly from: number;
  readonly to: number;
  readonly steps: number;
  readonly scale?: 'linear' | 'log';
}

type Values = Readonly<Record<string, AxisValue | readonly AxisValue[]>>;

/** A sweep as its file has it, once the schema has passed it. */
export interface SweepSpec {
  readonly name: string;
  readonly title: string;
  readonly traces: readonly string[];
  readonly policies: readonly string[];
  readonly machines: readonly string[];
  readonly seeds?: readonly number[];
  readonly costs?: string;
  readonly set?: Readonly<Record<string, readonly AxisValue[] | Range>>;
  readonly options?: {
    readonly memory?: string;
    readonly device?: string;
    readonly reuse?: Reuse;
    readonly time_scale?: number;
  };
  readonly where?: readonly { readonly if?: Values; readonly only: Values }[];
}

/** Where a run stands on each axis: `trace`, `policy`, `machine`, `seed`, and the keys of `set`. */
export type Cell = Readonly<Record<string, AxisValue>>;

/** Runs of one sweep at most. */
export const MAX_CELLS = 1_000_000;

/** Axes of every sweep, in the order of its rows. */
export const FIXED_AXES = ['trace', 'machine', 'policy', 'seed'] as const;

/** The axes of a sweep with their values, slowest first: policies last, so that runs of one machine lie together. */
export function axesOf(spec: SweepSpec, place: string): ReadonlyMap<string, readonly AxisValue[]> {
  const settings = Object.entries(spec.set ?? {}).map(([key, values]) => {
    if (!/^(machine|cost|policy)\../.test(key))
      throw new UsageError(
        `${place}: set.${key}: expected a key such as machine.iommu.iotlb, cost.qi.wait, policy.dma.queue_size`,
      );
    return [key, 'from' in values ? steps(values, `${place}: set.${key}`) : values] as const;
  });
  return new Map<string, readonly AxisValue[]>([
    ['trace', spec.traces],
    ['machine', spec.machines],
    ['seed', spec.seeds ?? [1]],
    ...settings,
    ['policy', spec.policies],
  ]);
}

function steps({ from, to, steps: count, scale }: Range, place: string): number[] {
  if (scale === 'log' && (from <= 0 || to <= 0))
    throw new UsageError(`${place}: read from ${from} to ${to}, expected numbers above 0 with scale: log`);
  const values = Array.from({ length: count }, (_, i) => {
    const share = i / (count - 1);
    const value = scale === 'log' ? from * (to / from) ** share : from + share * (to - from);
    // A setting that takes whole numbers gets whole numbers between whole ends.
    return Number.isInteger(from) && Number.isInteger(to) ? Math.round(value) : Number(value.toPrecision(12));
  });
  return [...new Set(values)];
}

/** Every combination that the rules leave. */
export function cellsOf(spec: SweepSpec, place: string): Cell[] {
  const axes = axesOf(spec, place);
  const all = [...axes.values()].reduce((product, values) => product * values.length, 1);
  if (all > MAX_CELLS) throw new UsageError(`${place}: has ${all} combinations, expected at most ${MAX_CELLS}`);
  for (const [i, rule] of (spec.where ?? []).entries()) {
    for (const [side, values] of Object.entries(rule)) checkValues(values, axes, `${place}: where.${i}.${side}`);
  }
  let cells: Cell[] = [{}];
  for (const [axis, values] of axes)
    cells = cells.flatMap((cell) => values.map((value) => ({ ...cell, [axis]: value })));
  const left = cells.filter((cell) =>
    (spec.where ?? []).every((rule) => !matches(cell, rule.if ?? {}) || matches(cell, rule.only)),
  );
  if (left.length === 0) throw new UsageError(`${place}: where leaves nothing of ${all} combinations`);
  return left;
}

function matches(cell: Cell, values: Values): boolean {
  return Object.entries(values).every(([axis, wanted]) => listOf(wanted).includes(cell[axis]!));
}

function listOf(values: AxisValue | readonly AxisValue[]): readonly AxisValue[] {
  return Array.isArray(values) ? values : [values as AxisValue];
}

function checkValues(values: Values, axes: ReadonlyMap<string, readonly AxisValue[]>, place: string): void {
  for (const [axis, wanted] of Object.entries(values)) {
    const known = axes.get(axis);
    if (known === undefined) {
      const names = [...axes.keys()];
      throw new UsageError(`${place}.${axis}: no such axis${nearText(axis, names)}; axes are ${names.join(', ')}`);
    }
    const strange = listOf(wanted).find((value) => !known.includes(value));
    if (strange !== undefined)
      throw new UsageError(`${place}.${axis}: read ${JSON.stringify(strange)}, expected one of ${known.join(', ')}`);
  }
}

/** One run of a sweep. Runs with the same hash, as those of `strict` with queues of all sizes, are made once. */
export interface SweepJob {
  readonly cell: Cell;
  /** Of everything that decides the numbers: trace, machine, policy, costs, options, model. */
  readonly hash: string;
}

/** What is kept of a run. */
export interface SweepResult {
  readonly format: 1;
  readonly model: number;
  readonly hash: string;
  readonly run: RunResult;
}

/** A run as a line of gathered results: its axes up to `policy`, then its metrics by their keys in the result. */
export type GatheredRow = Readonly<Record<string, AxisValue>> & {
  readonly trace: string;
  readonly machine: string;
  readonly policy: string;
  readonly 'cost.added_per_page_ns': number;
  readonly 'safety.verdict': Verdict;
  readonly 'safety.exposed_ns.count': number;
  readonly 'safety.exposed_ns.sum': number;
  readonly repro: string;
  readonly hash: string;
  readonly model: number;
};

/** Gathered results of one sweep, all of one model. */
export interface GatheredSweep {
  readonly name: string;
  readonly model: number;
  readonly rows: readonly GatheredRow[];
}

/** Which part of a sweep: every n-th group of runs, from the i-th on, 0 <= i < n. */
export interface Shard {
  readonly i: number;
  readonly n: number;
}

/** `I/N` of `--shard`, where I begins at 1. */
export function parseShard(text: string): Shard {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [i, n] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || i < 1 || i > n)
    throw new UsageError(`--shard is "${text}", expected I/N with 1 <= I <= N, such as 3/8`);
  return { i: i - 1, n };
}

/** The values that `--where AXIS=VALUE` gives. */
export function parseWhere(given: readonly string[]): Record<string, string> {
  const pairs = given.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`--where is "${text}", expected AXIS=VALUE`);
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  return Object.fromEntries(pairs);
}
