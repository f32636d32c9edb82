import type { Costs } from '../model/cost.ts';
import type { Reuse } from '../model/dma.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine } from '../model/machine.ts';
import type { RawRun, RunResult } from '../model/result.ts';
import { DEFAULT_SEED, MAX_SEED, parseWhole } from '../model/run.ts';
import type { TraceMeta } from '../model/trace.ts';
import type { Trace } from '../trace/reader.ts';
import { isRecording, planDma } from './compare-dma.ts';
import { planSpace } from './compare-space.ts';
import type { DmaJob, MachineJob } from './job.ts';
import { type Pair, type PairRequest, sameRuns } from './pairs.ts';

/** A trace as a plan sees it, wherever its bytes are. */
export interface PlannedTrace {
  /** What the user named: a path, or the name of a shipped trace. */
  readonly given: string;
  /** Its base name. */
  readonly name: string;
  readonly sha256: string;
  readonly meta: TraceMeta;
  /** Opens it for as long as `use` runs. */
  open<T>(use: (trace: Trace) => T): T;
}

/** What is asked: policies, machines, and option texts as on the command line; what is not given follows the trace. */
export interface CompareRequest extends PairRequest {
  /** Of every random choice; 1 if not given. */
  readonly seed?: number | undefined;
  /** Memory limit: a share of the footprint such as `50%`, a size such as `8M`, or none. */
  readonly memory?: string | undefined;
  /** Device that is added: `follow`, with options behind commas, or none. */
  readonly device?: string | undefined;
  /** CPUs that run the program; not given: those recorded. */
  readonly cpus?: number | undefined;
  /** Of DMA recordings. */
  readonly reuse?: Reuse | undefined;
  readonly timeScale?: number | undefined;
  readonly lookahead?: number | undefined;
}

/** A comparison: results in the order machine by machine, policy by policy. */
export interface Comparison {
  readonly results: readonly RunResult[];
  /** What the command line added to the trace. */
  readonly added: readonly string[];
  /** Pairs that were left out, with the reason. */
  readonly skipped: readonly { policy: string; machine: string; why: string }[];
  readonly costs: Costs;
  readonly machines: readonly Machine[];
  /** `policy on machine` -> the policy that gave exactly the same run. */
  readonly same: Readonly<Record<string, string>>;
  readonly model: number;
  /** The command line that gives the same again. */
  readonly again: string;
}

/** The runs that a comparison is made of, before they are made. */
export interface Plan extends Omit<Comparison, 'results' | 'added' | 'same'> {
  readonly pairs: readonly Pair[];
  /** The ideal run of each machine, then one for each pair. */
  readonly jobs: readonly (MachineJob | DmaJob)[];
  /** Raw runs of the jobs to results. Each is divided by the first of its machine, or with `alone` by itself. */
  results(raw: readonly RawRun[], alone?: boolean): RunResult[];
  /** What the command line added to the trace. */
  added(runs: readonly RawRun[]): string[];
}

/** Runs every policy on every machine, and the ideal run of each machine, on one trace. `run` does jobs, in any place. */
export async function comparisonOf(
  trace: PlannedTrace,
  request: CompareRequest,
  run: (jobs: Plan['jobs']) => Promise<readonly RawRun[]>,
): Promise<Comparison> {
  const { pairs, jobs, results, added, ...plan } = planOf(trace, request);
  const raw = await run(jobs);
  const runs = raw.slice(jobs.length - pairs.length);
  if (pairs.length > 1) refuseEmpty(trace, runs);
  return { ...plan, results: results(raw), added: added(runs), same: sameRuns(pairs, runs) };
}

/** A request whose seed is settled. */
export type SeededRequest = CompareRequest & { readonly seed: number };

/** What is to be run for a request. */
export function planOf(trace: PlannedTrace, request: CompareRequest): Plan {
  const seeded = { ...request, seed: seedOf(request) };
  return isRecording(trace.meta) ? planDma(trace, seeded) : planSpace(trace, seeded);
}

/** The seed of a request. */
export function seedOf({ seed = DEFAULT_SEED }: CompareRequest): number {
  return parseWhole(String(seed), 'seed', 0, MAX_SEED)!;
}

/** Equal rows would say nothing, and look like a result. */
function refuseEmpty(trace: PlannedTrace, runs: readonly RawRun[]): void {
  if (runs.every(({ counters }) => counters.N_UNMAPPED === 0 && counters.N_SECONDARY === 0)) {
    throw new UsageError(
      `${trace.name}: no translation was taken away or narrowed, so policies do not differ; give less --memory`,
    );
  }
  if (runs.every((run) => run.counters.N_DMA === 0)) {
    throw new UsageError(
      `${trace.name}: no device access happened, so nothing can be said about safety; give a --device`,
    );
  }
}
