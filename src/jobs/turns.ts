import { Interrupted } from '../model/errors.ts';

/** How work that takes long is watched and stopped. */
export interface WorkOptions {
  /** Told the share that is done, 0..1. */
  readonly onProgress?: (done: number) => void;
  /** Stops the work; the promise then rejects with `Interrupted`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What `work` returns, which yields how much of `total` it has done. Between two steps the thread goes back to its
 * events, so that a signal can come through.
 */
export async function inTurns<T>(
  work: Generator<number, T>,
  total: number,
  { onProgress, signal }: WorkOptions,
): Promise<T> {
  for (let step = work.next(); ; step = work.next()) {
    if (step.done) return step.value;
    onProgress?.(step.value / Math.max(1, total));
    await new Promise((resolve) => setTimeout(resolve));
    if (signal?.aborted) throw new Interrupted('interrupted');
  }
}
