import { Interrupted, TraceError, UsageError } from '../model/errors.ts';
import type { TlbConfig, TlbResult } from '../model/tlb.ts';
import type { Job, PassReply, PassTask, ResultOf } from './job.ts';
import type { LocatedTrace } from './locate.ts';
import { allCores, Threads } from './threads.ts';

/** How jobs are run, watched and stopped. */
export interface PoolOptions {
  /** Worker threads; all cores if not given. */
  readonly workers?: number | undefined;
  /** Share of the work that is done, 0..1; of so many pieces, where it is dealt out in pieces. */
  readonly onProgress?: (done: number, pieces?: number) => void;
  /** Stops the work; the promise then rejects with `Interrupted`. */
  readonly signal?: AbortSignal;
  /** Threads of an earlier call that are used again; otherwise they live as long as the call. */
  readonly threads?: Threads;
  /** Nothing is done in the caller's thread, so that what dies takes nobody else with it. */
  readonly isolated?: boolean;
}

const TICK_MS = 100;
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
  const stop = (): void => {
    for (const words of shared) Atomics.store(new Int32Array(words), 1, 1);
  };
  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted) stop();
  const tick = setInterval(() => {
    const done = shared.reduce((sum, words) => sum + Atomics.load(new Int32Array(words), 0) * 1000, 0);
    options.onProgress?.(done / Math.max(1, trace.meta.counts.records * workers));
  }, TICK_MS);
  try {
    const tasks = hands.map(
      (hand, i): PassTask => ({
        trace: trace.path,
        name: trace.name,
        records: trace.records,
        jobs: hand,
        shared: shared[i]!,
      }),
    );
    const replies = await Promise.all(
      tasks.map((task) => (small ? here(task) : threads.run<PassTask, PassReply>(task))),
    );
    const dealt = replies.map(unwrap);
    return jobs.map((_, i) => dealt[i % workers]![Math.floor(i / workers)] as ResultOf<J>);
  } finally {
    clearInterval(tick);
    options.signal?.removeEventListener('abort', stop);
    if (options.threads === undefined) await threads.end();
  }
}

/** Does in this thread what a worker would do. Signals come through before. */
async function here(task: PassTask): Promise<PassReply> {
  await new Promise((resolve) => setImmediate(resolve));
  const { default: pass } = await import('./worker.ts');
  return pass(task);
}

function unwrap(reply: PassReply): readonly ResultOf<Job>[] {
  if (reply.ok) return reply.results;
  const { kind, place, message } = reply;
  if (kind === 'trace') throw new TraceError(place, message.slice(place.length + 2));
  if (kind === 'usage') throw new UsageError(message);
  if (kind === 'interrupted') throw new Interrupted(message);
  throw new Error(message);
}
