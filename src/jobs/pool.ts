import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { Interrupted, TraceError, UsageError } from '../model/errors.ts';
import type { Job, PassReply, PassTask, ResultOf } from './job.ts';
import type { LocatedTrace } from './locate.ts';

/** How jobs are run, watched and stopped. */
export interface PoolOptions {
  /** Worker threads; all cores if not given. */
  readonly workers?: number | undefined;
  /** Share of the work that is done, 0..1. */
  readonly onProgress?: (done: number) => void;
  /** Stops the work; the promise then rejects with `Interrupted`. */
  readonly signal?: AbortSignal;
  /** Threads of an earlier call that are used again; otherwise they live as long as the call. */
  readonly pool?: Piscina;
}

const TICK_MS = 100;

/** Workers if nothing else is said. */
export const allCores = availableParallelism;

/** Worker threads for several calls; the caller destroys them. */
export function openPool(workers: number = allCores()): Piscina {
  const filename = new URL('./worker.js', import.meta.url).href;
  return new Piscina({ filename, minThreads: workers, maxThreads: workers });
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
  const workers = Math.max(1, Math.min(options.workers ?? allCores(), jobs.length));
  const hands = Array.from({ length: workers }, (_, worker) => jobs.filter((_, i) => i % workers === worker));
  const shared = hands.map(() => new SharedArrayBuffer(8));
  const pool = options.pool ?? openPool(workers);
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
        chunks: trace.chunks,
        jobs: hand,
        shared: shared[i]!,
      }),
    );
    const replies = (await Promise.all(tasks.map((task) => pool.run(task)))) as PassReply[];
    const dealt = replies.map(unwrap);
    return jobs.map((_, i) => dealt[i % workers]![Math.floor(i / workers)] as ResultOf<J>);
  } finally {
    clearInterval(tick);
    options.signal?.removeEventListener('abort', stop);
    if (options.pool === undefined) await pool.destroy();
  }
}

function unwrap(reply: PassReply): readonly ResultOf<Job>[] {
  if (reply.ok) return reply.results;
  const { kind, place, message } = reply;
  if (kind === 'trace') throw new TraceError(place, message.slice(place.length + 2));
  if (kind === 'usage') throw new UsageError(message);
  if (kind === 'interrupted') throw new Interrupted(message);
  throw new Error(message);
}
