import type { TlbConfig, TlbResult } from '../model/tlb.ts';
import type { Job, PassTask, ResultOf } from './job.ts';
import type { LocatedTrace } from './locate.ts';
import { type Reply, unwrap } from './reply.ts';
import { allCores, Threads, watch } from './threads.ts';
import type { WorkOptions } from './turns.ts';

/** How jobs are run, watched and stopped. */
export interface PoolOptions extends Omit<WorkOptions, 'onProgress'> {
  /** Worker threads; all cores if not given. */
  readonly workers?: number | undefined;
  /** Share of the work that is done, 0..1; of so many pieces, where it is dealt out in pieces. */
  readonly onProgress?: (done: number, pieces?: number) => void;
  /** Threads of an earlier call that are used again; otherwise they live as long as the call. */
  readonly threads?: Threads;
  /** Nothing is done in the caller's thread, so that what dies takes nobody else with it. */
  readonly isolated?: boolean;
}

/** Records times jobs that take less time than a thread takes to start: they are done in this one. */
const SMALL = 1 << 17;

/** Worker threads for several calls; the caller ends them. */
export function passThreads(workers?: number): Threads {
  return new Threads(new URL('./worker.js', import.meta.url), workers);
}

/** Hits and misses of TLBs on one trace: exact counts, no time. */
export async function countTlb(trace: LocatedTrace, config: TlbConfig, options: PoolOptions = {}): Promise<TlbResult> {
  const [result] = await runJobs(trace, [{ kind: 'tlb', config } as const], options);
  return result!;
}

/**
 * Runs `jobs` on one trace. They are dealt to the workers in turn, one pass a worker, so that a trace is decoded as
 * often as there are workers; results come back in the order of the jobs whatever the number of workers.
 */
export async function runJobs<J extends Job>(
  trace: LocatedTrace,
  jobs: readonly J[],
  options: PoolOptions = {},
): Promise<ResultOf<J>[]> {
  const small = !options.isolated && trace.meta.counts.records * jobs.length <= SMALL;
  const workers = small ? 1 : Math.max(1, Math.min(options.workers ?? allCores(), jobs.length));
  const hands = Array.from({ length: workers }, (_, worker) => jobs.filter((_, i) => i % workers === worker));
  const shared = hands.map(() => new SharedArrayBuffer(8));
  const threads = options.threads ?? passThreads(workers);
  const tasks = hands.map(
    (hand, i): PassTask => ({
      trace: trace.path,
      name: trace.name,
      records: trace.records,
      jobs: hand,
      shared: shared[i]!,
    }),
  );
  try {
    const replies = await watch(shared, (trace.meta.counts.records * workers) / 1000, options, () =>
      Promise.all(tasks.map((task) => (small ? here(task) : threads.run<PassTask, Reply<ResultOf<Job>[]>>(task)))),
    );
    const dealt = replies.map(unwrap);
    return jobs.map((_, i) => dealt[i % workers]![Math.floor(i / workers)] as ResultOf<J>);
  } finally {
    if (options.threads === undefined) await threads.end();
  }
}

/** Does in this thread what a worker would do. Signals come through before. */
async function here(task: PassTask): Promise<Reply<ResultOf<Job>[]>> {
  await new Promise((resolve) => setImmediate(resolve));
  const { default: pass } = await import('./worker.ts');
  return pass(task);
}
