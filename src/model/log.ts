/** One event of a run: what timelines and drawings of schedules are made of. */

/** Kinds of events, and what `what` and `detail` say of each. */
export const LOG_KINDS = {
  step: 'a step of a list: its word, its path',
  access: "a CPU's access: by the TLB, by a stale entry, by a walk, with what a walk has read before; read or write",
  fault: 'a fault begins: what it will install; read or write',
  device: "where a device's access is; read or write",
  command:
    'an invalidation command: which one; queued, refused, fetched (number: its slot), sent, arrives (at the device), done',
  window: 'the stale copies of a page: the first opens the window, the last closes it',
  due: 'an obligation falls due while its window is open',
  broken: 'a property breaks: which one',
  free: 'a frame is given back: its number',
  lock: 'a lock: which one; takes, waits for, gives up; number: among those of its kind',
  action: 'an agent of a race comes to an action: its index',
  call: 'a call of the DMA API, map or unmap: begins, returns; number: of the mapping',
  queue: 'a flush queue: an unmap enters or leaves it, a flush of its domain begins or ends; number: of the domain',
} as const;
export type LogKind = keyof typeof LOG_KINDS;

/** An event. `at` in picoseconds of virtual time; `page` is a page id, or null where none is meant. */
export interface LogEvent {
  readonly kind: LogKind;
  readonly agent: number;
  readonly at: number;
  readonly page: number | null;
  readonly what: string;
  readonly detail: string;
  /** Tells apart what has no name; 0 where nothing is to be told apart. */
  readonly number: number;
}

/** What a device's access is told as: it lands by a translation that is no longer the PTE's; it is denied. */
export const LANDS_STALE = 'lands by old entry';
export const DENIED = 'denied';

/** Properties by the engine's number. */
export const PROPERTY_NAMES: readonly string[] = ['', 'S1', 'S2', 'S3', 'S4', 'S5', 'S6', 'S7', 'S2x'];
