import type { LogEvent } from '../../model/log.ts';
import type { Drawing, Slice, Track } from './trace-event.ts';

/** A command on its way through the queue. */
interface Command {
  readonly agent: number;
  readonly queued: number;
  /** What its submission follows, shared by the commands of one submission. */
  readonly submission: Submission;
}

/** Commands that an agent writes before it waits, and the changes that they are about. */
interface Submission {
  readonly changes: readonly Slice[];
  /** Where the first of them was carried out. */
  carried?: Slice | undefined;
}

/** What the processor is at. */
interface Fetched {
  readonly what: string;
  readonly at: number;
  readonly command: Command | undefined;
}

/** Arrows to one submission at most: of those behind a flush of a whole queue the last. */
const MOST_ARROWS = 16;

/** The invalidation queue, what the IOMMU makes of it, flush queues, and the arrows through them. */
export class Commands {
  private readonly changes = new Map<number, Slice[]>();
  private readonly putOff = new Map<number, Slice[]>();
  private readonly slots = new Map<number, Command>();
  /** Requests and waits that are not done, by number. */
  private readonly begun = new Map<number, Fetched>();
  private readonly submissions = new Map<number, Submission>();
  private readonly deferred = new Map<number, number>();
  private current: Fetched | undefined;
  private inRing = 0;

  constructor(
    private readonly drawing: Drawing,
    private readonly pid: number,
    private readonly cpus: number,
    private readonly to: number,
  ) {}

  /** An agent has changed a page-table entry. */
  changed(agent: number, track: Track | undefined, at: number): void {
    if (track === undefined) return;
    const changes = this.changes.get(agent) ?? [];
    changes.push({ ...track, at });
    this.changes.set(agent, changes.slice(-MOST_ARROWS));
  }

  /** Sees a command move on. */
  see(event: LogEvent): void {
    const { at, what, detail, number, agent } = event;
    if (detail === 'queued') this.enter(agent, at, number);
    else if (detail === 'fetched') this.fetch(at, what, number);
    else if (detail === 'refused') this.refuse(at, what, number);
    else if (detail === 'sent') {
      if (this.current !== undefined) this.begun.set(number, this.current);
    } else if (detail === 'done' && (what === 'device_tlb' || what === 'wait')) {
      const begun = this.begun.get(number);
      this.begun.delete(number);
      if (begun !== undefined) this.finish(begun, at);
    } else if (detail === 'done' && this.current !== undefined) this.carry(this.current, at, 'commands', what);
  }

  private enter(agent: number, at: number, slot: number): void {
    let submission = this.submissions.get(agent);
    if (submission === undefined) {
      submission = { changes: this.changes.get(agent) ?? [] };
      this.changes.delete(agent);
      this.submissions.set(agent, submission);
    }
    this.slots.set(slot, { agent, queued: at, submission });
    this.drawing.counter(this.pid, 'commands in the queue', at, ++this.inRing);
  }

  private fetch(at: number, what: string, slot: number): void {
    const command = this.slots.get(slot);
    this.slots.delete(slot);
    if (command !== undefined) {
      this.drawing.lane(this.pid, 'invalidation queue', command.queued, at, what, 'queue');
      this.drawing.counter(this.pid, 'commands in the queue', at, --this.inRing);
    }
    this.current = { what, at, command };
    // What the same agent writes from now on is another submission.
    if (what === 'wait' && command !== undefined && this.submissions.get(command.agent) === command.submission)
      this.submissions.delete(command.agent);
  }

  /** The head rests on it until the driver has put another in its place. */
  private refuse(at: number, what: string, slot: number): void {
    const command = this.slots.get(slot);
    if (command === undefined) return;
    this.drawing.lane(this.pid, 'invalidation queue', command.queued, at, what, 'queue');
    this.drawing.lane(this.pid, 'invalidation queue', at, at, `refused: ${what}`, 'queue');
    this.slots.set(slot, { ...command, queued: at });
  }

  private carry({ at, command }: Fetched, to: number, lanes: string, name: string): void {
    const slice = this.drawing.lane(this.pid, lanes, at, to, name, 'command');
    const submission = command?.submission;
    if (submission !== undefined) submission.carried ??= slice;
  }

  private finish(begun: Fetched, to: number): void {
    if (begun.what === 'wait') this.complete(begun, to);
    else this.carry(begun, to, 'ATS requests', 'device TLB invalidation');
  }

  private complete({ at, command }: Fetched, to: number): void {
    const slice = this.drawing.lane(this.pid, 'waits', at, to, 'wait', 'command');
    if (command === undefined) return;
    const { changes, carried } = command.submission;
    for (const change of changes)
      this.drawing.flow('invalidation', carried === undefined ? [change, slice] : [change, carried, slice]);
  }

  /** Sees an unmap that is put off, or a flush of all that are. */
  queue({ agent, at, what, number }: LogEvent): void {
    const count = this.deferred.get(number) ?? 0;
    const off = this.putOff.get(number) ?? [];
    if (what === 'enters') {
      this.putOff.set(number, [...off, ...(this.changes.get(agent) ?? [])].slice(-MOST_ARROWS));
      this.changes.delete(agent);
    } else if (what === 'flush begins') {
      this.changes.set(agent, off);
      this.putOff.delete(number);
    }
    const now = what === 'enters' ? count + 1 : what === 'leaves' ? Math.max(0, count - 1) : count;
    if (now === count) return;
    this.deferred.set(number, now);
    this.drawing.counter(this.cpus, `unmaps in the flush queue of domain ${number}`, at, now);
  }

  /** Draws what has not come to an end. */
  end(): void {
    for (const { queued } of this.slots.values())
      this.drawing.lane(this.pid, 'invalidation queue', queued, this.to, 'not fetched yet', 'queue');
    for (const begun of this.begun.values()) this.finish(begun, this.to);
  }
}
