import type { Machine } from '../model/machine.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import type { Faults } from './fault.ts';
import type { Page } from './page.ts';
import type { Price, Queue } from './queue.ts';
import type { Secondary } from './secondary.ts';
import { allows, isForbidden } from './translation.ts';

/** What a response says: PCIe 10.4.2. */
export type ResponseCode = 'success' | 'invalid' | 'failure';

/** Page requests with one index, and what has become of them. */
interface Group {
  readonly places: readonly number[];
  /** Members that have not heard of the response. */
  left: number;
  /** Its last request has come to the IOMMU. */
  complete: boolean;
  response: ResponseCode | null;
}

/** A device that asks. */
interface Asker {
  /** Places that want to ask, in the order in which they came. */
  wanting: number[];
  outstanding: number;
  disabled: boolean;
}

/** What is asked for. */
interface Asked {
  readonly page: Page;
  readonly write: boolean;
}

/** A request in the queue. */
interface Slot extends Asked {
  readonly index: number;
  readonly last: boolean;
}

/** A group that is complete, for a worker. */
interface Work {
  readonly index: number;
  readonly asked: readonly Asked[];
  taken: boolean;
}

/** Page requests where they have a queue: groups at the device, the queue in memory, the thread that handles it and its workers. */
export class PageRequests {
  /** By index; those of a device lie together, as its places do. */
  private readonly groups = new Map<number, Group>();
  private readonly askers: Asker[];
  /** Index of the group of each place whose request is on its way. */
  private readonly sentAs = new Map<number, number>();
  /** Places whose access was told before that its page is there, and those that ask in groups of their own. */
  private readonly again = new Set<number>();
  private readonly alone = new Set<number>();

  private slots: Slot[] = [];
  private overflow = false;
  private asleep = true;

  /** Requests of groups that are not complete, by the index of the group. */
  private readonly gathering = new Map<number, Asked[]>();
  private works: Work[] = [];
  private readonly idle: Set<Agent>;
  private waitsForRoom = false;

  constructor(
    private readonly machine: Machine,
    private readonly handler: Agent,
    private readonly workers: readonly Agent[],
    private readonly flyers: readonly Agent[],
    private readonly side: Secondary,
    private readonly queue: Queue,
    private readonly faults: Faults,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {
    queue.onResponse = (index, code, now) => this.answer(index, code, now);
    this.idle = new Set(workers);
    this.askers = Array.from({ length: machine.device.count }, () => ({
      wanting: [],
      outstanding: 0,
      disabled: false,
    }));
  }

  private get way(): number {
    return Math.floor(this.price('ats.translation') / 2);
  }

  // ---- the device ----

  /** A page that a translation request has not found. False: it is refused. */
  *ask(place: number, page: Page, write: boolean): Turns<boolean> {
    const agent = this.flyers[place]!;
    const device = this.askers[Math.floor(place / this.machine.device.outstanding)]!;
    if (this.again.has(place) && !device.disabled) {
      this.counts.reach('back-off');
      agent.spend('page_request', this.price('device.pri_backoff'));
      yield;
    }
    while (!device.disabled) {
      device.wanting.push(place);
      agent.block('page_request');
      yield;
      const index = this.sentAs.get(place);
      if (index === undefined) break;
      this.sentAs.delete(place);
      const group = this.groups.get(index)!;
      this.arrive(agent, { page, write, index, last: Math.max(...group.places) === place });
      yield;
      device.outstanding--;
      if (--group.left === 0) this.groups.delete(index);
      if (group.response === 'success') {
        this.again.add(place);
        agent.spend('translation', this.way);
        return true;
      }
      if (group.response === 'failure') device.disabled = true;
      else if (group.places.length === 1) break;
      else {
        this.counts.reach('group asked for one by one');
        this.alone.add(place);
      }
    }
    if (device.disabled) this.counts.reach('refused: PRI is disabled');
    return false;
  }

  /** The access is over. */
  forget(place: number): void {
    this.again.delete(place);
    this.alone.delete(place);
  }

  /** A device sends what it can. */
  settle(number: number, now: number): void {
    const { priRequests, priGroup } = this.machine.device;
    const device = this.askers[number]!;
    while (device.wanting.length > 0) {
      if (device.disabled) {
        for (const place of device.wanting.splice(0)) this.flyers[place]!.wake(now);
        return;
      }
      const [oldest] = device.wanting;
      const most = this.alone.has(oldest!) ? 1 : Math.min(priGroup, priRequests);
      const together = device.wanting.filter((place) => !this.alone.has(place)).slice(0, most);
      const places = this.alone.has(oldest!) ? [oldest!] : together;
      if (places.length < most && device.outstanding > 0) {
        this.counts.reach('group held back while another is out');
        return;
      }
      if (device.outstanding + places.length > priRequests) {
        this.counts.reach('as many page requests as there may be');
        return;
      }
      this.send(number, places, now);
    }
  }

  private send(number: number, places: readonly number[], now: number): void {
    const device = this.askers[number]!;
    let index = number * this.machine.device.outstanding;
    while (this.groups.has(index)) index++;
    if ([...this.groups.keys()].some((other) => this.isOfOther(other, number)))
      this.counts.reach('groups of two devices at a time');
    const group: Group = { places, left: places.length, complete: false, response: null };
    this.groups.set(index, group);
    device.wanting = device.wanting.filter((place) => !places.includes(place));
    device.outstanding += places.length;
    this.counts.add('PRI_GROUPS');
    if (places.length > 1) this.counts.reach('group of several');
    for (const place of places) {
      this.sentAs.set(place, index);
      this.flyers[place]!.wake(now);
      this.flyers[place]!.spend('page_request', this.way);
    }
  }

  private isOfOther(index: number, number: number): boolean {
    return Math.floor(index / this.machine.device.outstanding) !== number;
  }

  /** The IOMMU answers whoever has this index, if that is waiting for it. */
  private answer(index: number, code: ResponseCode, now: number): void {
    const group = this.groups.get(index);
    if (!group?.complete || group.response !== null) {
      this.counts.reach('response that nobody waits for');
      return;
    }
    group.response = code;
    this.counts.reach(`response: ${code}`);
    for (const place of group.places) {
      this.flyers[place]!.wake(now);
      this.flyers[place]!.spend('page_request', this.way);
    }
  }

  // ---- the queue ----

  private arrive(agent: Agent, slot: Slot): void {
    const { prq, prqAutoResponse } = this.machine.iommu;
    const now = agent.clock;
    this.counts.add('PAGE_REQUESTS');
    agent.block('page_request');
    if (slot.last) this.groups.get(slot.index)!.complete = true;
    if (prq > 0 && !this.overflow && this.slots.length === prq - 1) {
      this.overflow = true;
      this.counts.add('PRQ_OVERFLOWS');
    }
    if (prq > 0 && !this.overflow) {
      this.slots.push(slot);
      if (!this.asleep) return;
      this.asleep = false;
      this.handler.wake(now);
      this.handler.spend('page_request', this.price('prq.interrupt'));
    } else if (slot.last && (prq === 0 || prqAutoResponse)) {
      this.counts.add('AUTO_ANSWERS');
      this.answer(slot.index, prq > 0 ? 'success' : 'failure', now);
    } else {
      this.counts.add('PRQ_DROPPED');
      if (slot.last) this.counts.reach('group that is never answered');
    }
  }

  // ---- the driver ----

  *life(): Turns {
    const { handler } = this;
    while (true) {
      const batch = [...this.slots];
      yield;
      const bad = yield* this.handle(batch);
      this.slots.splice(0, batch.length);
      if (this.slots.length > 0) {
        this.counts.reach('requests behind the batch');
        this.rest = bad;
        continue;
      }
      this.rest = false;
      if (this.overflow && this.machine.driver.prqRestart) {
        this.overflow = false;
        this.gathering.clear();
      } else if (this.overflow) this.counts.reach('queue that stays full');
      this.asleep = true;
      handler.block('idle');
      yield;
    }
  }

  /** Whether a group that the batch before has begun is refused. */
  private rest = false;

  private *handle(batch: readonly Slot[]): Turns<boolean> {
    const { handler } = this;
    let bad = this.rest;
    for (const { page, write, index, last } of batch) {
      handler.spend('page_request', this.price('prq.request'));
      yield;
      if (this.workers.length > 0) {
        yield* this.gather(index, { page, write }, last);
        continue;
      }
      bad = yield* this.serve(handler, { page, write }, bad);
      if (!last) continue;
      yield* this.queue.respond(handler, index, bad ? 'invalid' : 'success');
      bad = false;
      yield;
    }
    return bad;
  }

  /** Faults a page in, if it may be used and nothing of its group was refused. Returns whether something is. */
  private *serve(agent: Agent, { page, write }: Asked, refused: boolean): Turns<boolean> {
    let bad = refused;
    while (true) {
      if (!bad && isForbidden(this.side, page, write)) {
        this.counts.reach('page gone while it was asked for');
        bad = true;
      }
      if (bad || allows(page, write)) break;
      if (yield* this.faults.handle(agent, page, write)) break;
    }
    yield;
    return bad;
  }

  // ---- the work queue ----

  private *gather(index: number, asked: Asked, last: boolean): Turns {
    while (last && this.works.length === this.flyers.length) {
      this.counts.reach('handler waits for its workers');
      this.waitsForRoom = true;
      this.handler.block('page_request');
      yield;
    }
    const group = [...(this.gathering.get(index) ?? []), asked];
    this.gathering.set(index, group);
    if (last) {
      this.gathering.delete(index);
      this.works.push({ index, asked: group, taken: false });
      if (this.works.length > 1) this.counts.reach('several groups handled at a time');
      const sleeper = this.workers.find((worker) => this.idle.has(worker));
      if (sleeper) {
        this.idle.delete(sleeper);
        sleeper.wake(this.handler.clock);
      } else this.counts.reach('group waits for a worker');
    }
    yield;
  }

  *work(worker: Agent): Turns {
    while (true) {
      const work = this.works.find(({ taken }) => !taken);
      if (!work) {
        this.idle.add(worker);
        worker.block('idle');
        yield;
        continue;
      }
      work.taken = true;
      yield;
      let bad = false;
      for (const asked of work.asked) bad = yield* this.serve(worker, asked, bad);
      yield* this.queue.respond(worker, work.index, bad ? 'invalid' : 'success');
      this.works = this.works.filter((other) => other !== work);
      if (this.waitsForRoom) this.handler.wake(worker.clock);
      this.waitsForRoom = false;
    }
  }
}
