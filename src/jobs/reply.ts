import { Interrupted, TraceError, UsageError } from '../model/errors.ts';

/** What comes back from a worker thread. Errors travel as data: an Error that crosses threads loses its class. */
export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly kind: 'trace' | 'usage' | 'interrupted' | 'bug';
      readonly place: string;
      readonly message: string;
    };

/** What `work` returns, or what it throws, for the way back. */
export function replyOf<T>(work: () => T): Reply<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (error instanceof TraceError) return { ok: false, kind: 'trace', place: error.place, message: error.message };
    const kind = error instanceof UsageError ? 'usage' : error instanceof Interrupted ? 'interrupted' : 'bug';
    const { message, stack } = error as Error;
    return { ok: false, kind, place: '', message: kind === 'bug' ? (stack ?? message) : message };
  }
}

/** What a thread returned; what it threw is thrown here. */
export function unwrap<T>(reply: Reply<T>): T {
  if (reply.ok) return reply.value;
  const { kind, place, message } = reply;
  if (kind === 'trace') throw new TraceError(place, message.slice(place.length + 2));
  if (kind === 'usage') throw new UsageError(message);
  if (kind === 'interrupted') throw new Interrupted(message);
  throw new Error(message);
}
