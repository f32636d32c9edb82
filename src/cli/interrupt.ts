import { discardUnfinished } from '../trace/output.ts';
import { EXIT } from './errors.ts';

const controller = new AbortController();

/** Aborted at the first Ctrl-C. */
export const interrupted: AbortSignal = controller.signal;

/** How long workers have to stop by themselves. */
const GRACE_MS = 2000;

/** First Ctrl-C: stop the work and leave nothing half written. Second, or if nothing stops: go at once. */
export function watchInterrupts(): void {
  const leave = (): void => {
    discardUnfinished();
    process.exit(EXIT.interrupted);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) leave();
      controller.abort();
      setTimeout(leave, GRACE_MS).unref();
    });
  }
}
