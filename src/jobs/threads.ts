import { availableParallelism } from 'node:os';
import type { Piscina } from 'piscina';
import type { WorkOptions } from './turns.ts';

/** Workers if nothing else is said. */
export const allCores = availableParallelism;

const TICK_MS = 100;

/**
 * Waits for threads that share words with this one, i32[2] each: what is done, and not 0 once the work is to stop. `total`:
 * what is to be done by all of them, in the unit of the words.
 */
export async function watch<T>(
  shared: readonly SharedArrayBuffer[],
  total: number,
  { onProgress, signal }: WorkOptions,
  work: () => Promise<T>,
): Promise<T> {
  const words = shared.map((one) => new Int32Array(one));
  const stop = (): void => {
    for (const one of words) Atomics.store(one, 1, 1);
  };
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  const tick = setInterval(() => {
    const done = words.reduce((sum, one) => sum + Atomics.load(one, 0), 0);
    onProgress?.(Math.min(1, done / Math.max(1, total)));
  }, TICK_MS);
  try {
    return await work();
  } finally {
    clearInterval(tick);
    signal?.removeEventListener('abort', stop);
  }
}

/** Worker threads that all run one file; they start with the first task. */
export class Threads {
  private pool: Promise<Piscina> | undefined;

  /** `file`: a module whose default export takes a task and gives its reply. */
  constructor(
    private readonly file: URL,
    private readonly workers: number = allCores(),
  ) {}

  /** The reply of whichever thread is free. */
  async run<Task, Reply>(task: Task): Promise<Reply> {
    const { workers } = this;
    this.pool ??= import('piscina').then(
      ({ Piscina }) => new Piscina({ filename: this.file.href, minThreads: workers, maxThreads: workers }),
    );
    return (await (await this.pool).run(task)) as Reply;
  }

  /** Ends the threads, whatever they are doing. */
  async end(): Promise<void> {
    const pool = await this.pool;
    // A reply that is on its way when its thread ends is an error to the pool; nobody waits for it any more.
    pool?.on('error', () => {});
    await pool?.destroy();
  }
}
