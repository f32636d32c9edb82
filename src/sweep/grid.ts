/** From a sweep's file to its jobs. */
import { createHash } from 'node:crypto';
import { changesPolicy, loadPolicy, settingKind, withPolicySetting } from '../catalog/catalog.ts';
import type { DmaJob, MachineJob } from '../jobs/job.ts';
import { type LocatedTrace, locateTrace } from '../jobs/locate.ts';
import { planOf } from '../jobs/plan.ts';
import { MODEL, type RawRun, type RunResult } from '../model/result.ts';
import { axesOf, type Cell, cellsOf, FIXED_AXES, type SweepJob, type SweepSpec } from '../model/sweep.ts';

/** Jobs that differ in the policy only: they share the ideal run, and one pass over the trace. */
export interface Group {
  readonly trace: LocatedTrace;
  readonly jobs: readonly SweepJob[];
  /** Runs of the machine for those of `jobs` whose hash is in `wanted`, the ideal one included. */
  plan(wanted: ReadonlySet<string>): GroupPlan;
}

/** What is to be run for a part of a group. */
export interface GroupPlan {
  readonly jobs: readonly SweepJob[];
  readonly runs: readonly (MachineJob | DmaJob)[];
  results(raw: readonly RawRun[]): RunResult[];
}

/** A sweep, ready to be run. */
export interface Sweep {
  readonly spec: SweepSpec;
  readonly groups: readonly Group[];
  readonly jobs: readonly SweepJob[];
  close(): void;
}

/** Opens the traces and names every job. Names and values that do not exist are refused here, before anything runs. */
export async function openSweep(spec: SweepSpec, place: string): Promise<Sweep> {
  const cells = cellsOf(spec, place);
  const traces = new Map<string, LocatedTrace>();
  const close = (): void => {
    for (const trace of traces.values()) trace.close();
  };
  try {
    for (const [axis, [value]] of axesOf(spec, place))
      if (axis.startsWith('policy.')) withPolicySetting(spec.policies.map(loadPolicy), `${axis}=${value}`);
    for (const name of spec.traces) traces.set(name, await locateTrace(name));
    const parts = new Map<string, Cell[]>();
    for (const cell of cells) {
      const { policy: _, ...rest } = cell;
      const key = JSON.stringify(rest);
      parts.set(key, [...(parts.get(key) ?? []), cell]);
    }
    const groups = [...parts.values()].map((part) => groupOf(traces.get(String(part[0]!.trace))!, part, spec));
    // Longest first, so that no worker is left with a long job at the end.
    groups.sort((a, b) => b.trace.meta.counts.records - a.trace.meta.counts.records);
    return { spec, groups, jobs: groups.flatMap((group) => group.jobs), close };
  } catch (error) {
    close();
    throw error;
  }
}

function groupOf(trace: LocatedTrace, cells: readonly Cell[], spec: SweepSpec): Group {
  const plan = (part: readonly Cell[]) => planOf(trace, requestOf(part, spec));
  const { pairs, jobs: runs } = plan(cells);
  const jobs = cells.map((cell, i) => ({ cell, hash: hashOf(trace, runs[runs.length - pairs.length + i]!) }));
  return {
    trace,
    jobs,
    plan(wanted) {
      const part = jobs.filter(({ hash }) => wanted.has(hash));
      const { jobs: all, results } = plan(part.map(({ cell }) => cell));
      return { jobs: part, runs: all, results: (raw) => results(raw, true) };
    },
  };
}

function requestOf(cells: readonly Cell[], { costs, options = {} }: SweepSpec) {
  const [first] = cells;
  const axes = Object.entries(first!).filter(([axis]) => !(FIXED_AXES as readonly string[]).includes(axis));
  const policies = cells.map(({ policy }) => String(policy));
  const loaded = policies.map(loadPolicy);
  const settings = axes.map(([axis, value]) => `${axis}=${value}`);
  return {
    policies,
    machines: [String(first!.machine)],
    seed: Number(first!.seed),
    ...(costs === undefined ? {} : { costs }),
    // `strict` has no queue whose size could be set; that some policy of the sweep has one is checked when it is opened.
    settings: settings.filter(
      (setting) => settingKind(setting) !== 'policy' || loaded.some((policy) => changesPolicy(policy, setting)),
    ),
    memory: options.memory,
    device: options.device,
    reuse: options.reuse,
    timeScale: options.time_scale,
  };
}

/** SHA-256 of everything that decides the numbers of a run. */
function hashOf(trace: LocatedTrace, job: MachineJob | DmaJob): string {
  const text = JSON.stringify([MODEL, trace.sha256, job], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return createHash('sha256').update(text).digest('hex');
}
