import { FETCH, READ, type TraceWriter, WRITE } from '../writer.ts';
import { NO_PAGE, type Place, pagesBehind } from './address.ts';
import { ACCEPTED, type Fate, rejected } from './importer.ts';

/** What formats of bare accesses have in common: addresses of one process, by one agent or one a thread. */

const TOO_FAR = rejected('an access of 1 to 65536 bytes at a canonical address');

/** Kinds of accesses by name, as `TraceWriter.access` takes them. */
export const KINDS = { fetch: FETCH, read: READ, write: WRITE } as const;

/** Writes accesses of one process. */
export class Accesses {
  private readonly space: number;
  private readonly threads = new Map<string, number>();
  private fetched: Place = { page: NO_PAGE, offset: 0 };

  constructor(private readonly out: TraceWriter) {
    this.space = out.space('mm', 'mm');
  }

  /** The agent of a thread, or of all where a format does not tell them apart. */
  agent(thread = 'cpu0'): number {
    let agent = this.threads.get(thread);
    if (agent === undefined) {
      agent = this.out.agent(thread, 'cpu', this.space);
      this.threads.set(thread, agent);
    }
    return agent;
  }

  /** Writes one access of `size` bytes. */
  add(agent: number, kind: number, place: Place, size: number): Fate {
    const more = pagesBehind(place, size);
    if (more === NO_PAGE) return TOO_FAR;
    this.out.touch(agent, kind, place.page, more);
    return ACCEPTED;
  }

  /** Writes a fetch of the instruction at `place`, if it is another than that of the last call. */
  fetchAt(agent: number, place: Place): Fate {
    const { page, offset } = this.fetched;
    if (place.page === page && place.offset === offset) return ACCEPTED;
    this.fetched = place;
    return this.add(agent, FETCH, place, 1);
  }
}

/** Assumptions that most of these formats force upon an importer. */
export const INFERRED = {
  threads: 'Threads are one agent, and processes one space: a record does not say whose it is.',
  changes: 'No change of the address space is recorded: nothing is ever unmapped.',
  time: 'There are no time stamps: no think time.',
  sizes: 'Accesses have no size: none crosses into the next page.',
} as const;
