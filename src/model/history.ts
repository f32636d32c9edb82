/** What a regression history holds: records of runs, which are exact, and of host times, which are samples. */
import { wordsOf } from './command.ts';
import type { ComparisonResult, RunResult, Verdict } from './result.ts';

/** One run of a result, at one commit. */
export interface RunRecord {
  readonly format: 1;
  readonly kind: 'run';
  /** Of the project whose policies, machines or traces are followed. */
  readonly commit: string;
  /** Version of this tool, and of its model: runs of different models are not compared. */
  readonly tool: string;
  readonly model: number;
  readonly trace: { readonly file: string; readonly sha256: string };
  readonly machine: string;
  readonly policy: string;
  readonly seed: number;
  /** Further options that the run was made with, but prices, where they are not the usual ones. */
  readonly options: string;
  readonly verdict: Verdict;
  /** Prices in nanoseconds. */
  readonly costs: Readonly<Record<string, number>>;
  /** Simulated numbers by their keys in the result, such as `cost.work_ns`; what is not there is 0. */
  readonly figures: Readonly<Record<string, number>>;
}

/** Which way a host time gets better. */
export const BETTER = ['smaller', 'larger'] as const;
export type Better = (typeof BETTER)[number];

/** Times of one subject that a host took. */
export interface HostTimes {
  readonly name: string;
  /** Of the samples, such as `ns/access`. */
  readonly unit: string;
  readonly better: Better;
  /** What it was measured on; times of different hosts are not compared. */
  readonly host: string;
  readonly samples: readonly number[];
}

/** The same at one commit. */
export interface HostRecord extends HostTimes {
  readonly format: 1;
  readonly kind: 'host';
  readonly commit: string;
  readonly tool: string;
}

/** One line of a history. */
export type HistoryRecord = RunRecord | HostRecord;

/** Figures that are shown and exported if nothing else is asked for; less is better in each. */
export const MAIN_FIGURES = [
  'cost.added_per_page_ns',
  'cost.invalidations_per_page',
  'cost.lock_hold_ns.p99',
  'cost.lock_wait_ns',
  'safety.stale_uses',
  'safety.window_ns.p99',
] as const;

/** Records of all runs of a result. */
export function recordsOf(result: ComparisonResult, commit: string): RunRecord[] {
  const { model, tool, trace } = result;
  const costs = Object.fromEntries(Object.entries(result.costs).map(([key, cost]) => [key, cost.default]));
  return result.runs.map((run) => ({
    ...{ format: 1, kind: 'run', commit, tool: tool.version, model },
    trace: { file: trace.file, sha256: trace.sha256 },
    ...{ machine: run.machine, policy: run.policy, seed: run.seed, options: optionsOf(run) },
    ...{ verdict: run.safety.verdict, costs, figures: figuresOf(run) },
  }));
}

/** Numbers of a run by their keys, without those that are 0. */
function figuresOf({ cost, safety }: RunResult): Record<string, number> {
  const figures: Record<string, number> = {};
  const add = (key: string, value: unknown): void => {
    if (typeof value === 'number' && value !== 0) figures[key] = value;
    else if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [inner, part] of Object.entries(value)) add(`${key}.${inner}`, part);
  };
  add('cost', cost);
  // The first violation is a place in the trace, no figure.
  add('safety', { ...safety, first: null });
  return figures;
}

/** Options whose values stand in the record by themselves. */
const APART = new Set(['--policies', '--machines', '--seed', '--costs']);

/** Options that every run of an address space has if nothing else is asked for. */
const USUAL = new Set(['--memory 50%', '--device follow']);

/** Words of a run's command line behind the trace that are neither names, nor the seed, nor prices, nor usual. */
function optionsOf({ repro }: RunResult): string {
  const words = wordsOf(repro).slice(3);
  const pairs = words.flatMap((word, i) => (word.startsWith('--') ? [[word, words[i + 1] ?? ''] as const] : []));
  const kept = pairs.filter(
    ([name, value]) =>
      !APART.has(name) && !USUAL.has(`${name} ${value}`) && !(name === '--set' && value.startsWith('cost.')),
  );
  return kept.flat().join(' ');
}

/** What records of different commits have in common that are of the same thing. */
export function subjectOf(record: HistoryRecord): string {
  if (record.kind === 'host') return `host ${record.name}, ${record.unit}`;
  const { trace, machine, policy, seed, options } = record;
  const named = [trace.file.replace(/\.trace$/, ''), machine, policy, ...(seed === 1 ? [] : [`seed ${seed}`])];
  return [...named, ...(options === '' ? [] : [options])].join(' ');
}

/** As `subjectOf`; traces are told apart by their content. */
function keyOf(record: HistoryRecord): string {
  return record.kind === 'host' ? subjectOf(record) : `${record.trace.sha256} ${subjectOf(record)}`;
}

/** The last record of each subject, in the order in which subjects first appear. */
export function latestOf(records: readonly HistoryRecord[]): Map<string, HistoryRecord> {
  return new Map(records.map((record) => [keyOf(record), record]));
}

/** Commits in the order in which they first appear. */
export function commitsOf(records: readonly HistoryRecord[]): string[] {
  return [...new Set(records.map(({ commit }) => commit))];
}

/** The middle of samples, or of the two in the middle. */
export function medianOf(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One figure of one subject over commits. */
export interface Series {
  readonly subject: string;
  /** Key of the figure; of host times their unit. */
  readonly figure: string;
  readonly points: readonly { readonly commit: string; readonly model: number | null; readonly value: number }[];
  /** Of the last commit, of runs. */
  readonly verdict: Verdict | null;
}

/** The figures of all subjects over commits, host times by their medians; the last record of a commit counts. */
export function seriesOf(records: readonly HistoryRecord[], figures: readonly string[]): Series[] {
  return [...latestOf(records)].flatMap(([key, last]): Series[] => {
    const byCommit = new Map(records.filter((one) => keyOf(one) === key).map((one) => [one.commit, one]));
    const subject = subjectOf(last);
    const points = (value: (record: HistoryRecord) => number) =>
      [...byCommit.values()].map((one) => ({
        commit: one.commit,
        model: one.kind === 'run' ? one.model : null,
        value: value(one),
      }));
    if (last.kind === 'host')
      return [
        { subject, figure: last.unit, points: points((one) => medianOf((one as HostRecord).samples)), verdict: null },
      ];
    return figures.map((figure) => ({
      ...{ subject, figure, verdict: last.verdict },
      points: points((one) => figureOf(one as RunRecord, figure)),
    }));
  });
}

/** A figure of a run. */
export function figureOf({ figures }: RunRecord, key: string): number {
  return Object.hasOwn(figures, key) ? figures[key]! : 0;
}
