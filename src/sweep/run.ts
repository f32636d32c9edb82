/** Runs the jobs of a sweep whose results are not there yet. */
import { isRecording } from '../jobs/compare-dma.ts';
import { type PoolOptions, passThreads } from '../jobs/pool.ts';
import { allCores } from '../jobs/threads.ts';
import { Interrupted, TraceError, UsageError } from '../model/errors.ts';
import { MODEL } from '../model/result.ts';
import type { Shard } from '../model/sweep.ts';
import type { Group, GroupPlan, Sweep } from './grid.ts';
import { Ideals } from './ideals.ts';
import type { Store } from './store.ts';

/** What was done. */
export interface SweepOutcome {
  /** Jobs of this part, each hash once. */
  readonly jobs: number;
  /** Those that had a result before. */
  readonly before: number;
  readonly run: number;
  readonly failed: number;
}

/**
 * Runs at a time on one worker, in one pass over the trace. Engines of address spaces are there all at once, some 20 MB
 * each; those of DMA recordings one after the other, and they share the records.
 */
const RUNS_A_WORKER = { mm: 6, dma: 32 } as const;

/**
 * Runs what is missing of a shard. Each result is written as soon as its batch is done, so that the work can be broken
 * off at any time. A batch that fails is run again job by job; a job that fails again is kept as failed, with its reason.
 */
export async function runSweep(
  sweep: Sweep,
  store: Store,
  shard: Shard,
  options: PoolOptions = {},
): Promise<SweepOutcome> {
  const workers = options.workers ?? allCores();
  const threads = options.threads ?? passThreads(workers);
  try {
    return await runGroups(sweep, store, shard, { ...options, workers, threads });
  } finally {
    if (options.threads === undefined) await threads.end();
  }
}

async function runGroups(
  sweep: Sweep,
  store: Store,
  { i, n }: Shard,
  options: PoolOptions & { readonly workers: number },
): Promise<SweepOutcome> {
  const groups = sweep.groups.filter((_, at) => at % n === i);
  const all = new Set(groups.flatMap((group) => group.jobs.map(({ hash }) => hash)));
  const done = store.done();
  const missing = new Set([...all].filter((hash) => !done.has(hash)));
  const before = all.size - missing.size;
  const outcome = { run: 0, failed: 0 };
  const progress = (): void => options.onProgress?.((before + outcome.run + outcome.failed) / all.size);
  const todo = [...missing];
  const left = new Set(todo);
  const ideals = new Ideals();
  for (const batch of batchesOf(groups, left, options.workers)) {
    if (options.signal?.aborted) throw new Interrupted('interrupted');
    const plans = batch.flatMap((group) => {
      // A group before may have the same run, and another process may have been faster.
      const wanted = group.jobs.map(({ hash }) => hash).filter((hash) => left.delete(hash) && !store.has(hash));
      return wanted.length === 0 ? [] : [group.plan(new Set(wanted))];
    });
    if (plans.length === 0) continue;
    for (const [plan, reason] of await runBatch(batch[0]!, plans, ideals, store, options)) {
      if (reason === undefined) outcome.run += plan.jobs.length;
      else {
        for (const { hash } of plan.jobs) store.fail({ hash, reason });
        outcome.failed += plan.jobs.length;
      }
    }
    progress();
  }
  return { jobs: all.size, before, ...outcome };
}

/** Groups of one trace, as many runs together as the workers take at a time, that still have something to be run. */
function* batchesOf(groups: readonly Group[], left: ReadonlySet<string>, workers: number): Generator<Group[]> {
  let batch: Group[] = [];
  let size = 0;
  for (const group of groups) {
    const wanted = group.jobs.filter(({ hash }) => left.has(hash)).length;
    if (wanted === 0) continue;
    const runs = workers * RUNS_A_WORKER[isRecording(group.trace.meta) ? 'dma' : 'mm'];
    if (batch.length > 0 && (batch[0]!.trace !== group.trace || size + wanted + 1 > runs)) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(group);
    size += wanted + 1;
  }
  if (batch.length > 0) yield batch;
}

/** Runs plans of one trace together; if that fails, one by one and job by job, so that only the culprit is lost. */
async function runBatch(
  { trace }: Group,
  plans: readonly GroupPlan[],
  ideals: Ideals,
  store: Store,
  options: PoolOptions,
): Promise<[GroupPlan, string | undefined][]> {
  // Progress is that of the sweep.
  const { onProgress: _, ...quiet } = options;
  const attempt = async (part: readonly GroupPlan[], isolated = false): Promise<void> => {
    const raw = await ideals.run(
      trace,
      part.flatMap((plan) => plan.runs),
      { ...quiet, isolated },
    );
    let at = 0;
    for (const plan of part) {
      const results = plan.results(raw.slice(at, at + plan.runs.length));
      at += plan.runs.length;
      for (const [k, { hash }] of plan.jobs.entries()) store.write({ format: 1, model: MODEL, hash, run: results[k]! });
    }
  };
  try {
    await attempt(plans);
    return plans.map((plan) => [plan, undefined]);
  } catch (error) {
    if (isOurs(error)) throw error;
  }
  const outcomes: [GroupPlan, string | undefined][] = [];
  for (const plan of plans) {
    try {
      await attempt([plan], true);
      outcomes.push([plan, undefined]);
    } catch (error) {
      if (isOurs(error)) throw error;
      outcomes.push([plan, (error as Error).message]);
    }
  }
  return outcomes;
}

/** Errors that another attempt would not mend: Ctrl-C, a full disk, a damaged trace. */
function isOurs(error: unknown): boolean {
  return error instanceof Interrupted || error instanceof UsageError || error instanceof TraceError;
}
