import type { Agent } from './agent.ts';
import type { Counts } from './counts.ts';
import { meets } from './page.ts';
import type { Flight, Secondary } from './secondary.ts';
import type { Span } from './span.ts';

/** Requests that a device may have to answer at a time, whatever a command says. */
const ITAGS = 32;

/** A command that is not complete though it has been carried out, and what is missing. */
interface Open {
  readonly number: number;
  readonly span: Span;
  /** Of a request: whom it asks. */
  readonly device: number | null;
  /** Accesses that must land first. */
  readonly landings: Set<Flight>;
  /** A request: where it is, and when it gets on. Null: a drain. */
  message: { at: 'to the device' | 'at the device' | 'back' | 'lost' | 'given up'; due: number } | null;
}

/** What is wrong with the device and the way to it. */
export interface LinkFaults {
  /** Every so-manieth request is lost; 0: none. */
  readonly loses: number;
  /** How long after a lost request the IOMMU gives it up, picoseconds. */
  readonly patience: number;
  /** The device answers without waiting for what it has under way. */
  readonly answersEarly: boolean;
  /** Every so-manieth answer comes twice; 0: none. */
  readonly repeats: number;
  /** Translations on their way come behind an invalidation that was sent later. */
  readonly overtaken: boolean;
}

/** What commands have left to be done when the IOMMU goes on to the next: ATS requests and drains, oldest first. */
export class Link {
  private readonly open: Open[] = [];
  private sent = 0;
  private answered = 0;

  constructor(
    readonly agent: Agent,
    /** One way, picoseconds. */
    private readonly way: number,
    private readonly faults: LinkFaults,
    private readonly side: Secondary,
    private readonly counts: Counts,
    /** The IOMMU has something to do, perhaps. */
    private readonly tell: (now: number) => void,
  ) {}

  /** Whether all commands up to this one are complete. */
  completeUpTo(number: number): boolean {
    return this.open.every((open) => open.number > number);
  }

  hasTag(device: number, limit: number): boolean {
    return this.open.filter((open) => open.device === device).length < Math.min(limit, ITAGS);
  }

  /** The device is asked to forget what it has of these pages. */
  request(number: number, device: number, span: Span, now: number): void {
    this.sent++;
    const lost = this.faults.loses > 0 && this.sent % this.faults.loses === 0;
    const message: Open['message'] = lost
      ? { at: 'lost', due: now + this.faults.patience }
      : { at: 'to the device', due: now + this.way };
    if (this.open.some((other) => other.message !== null)) this.counts.reach('several requests at a time');
    this.open.push({ number, span, device, landings: new Set(), message });
    this.alarm(message.due);
  }

  /** What the IOMMU has translated for these pages must land. */
  drain(number: number, span: Span): void {
    const landings = this.users(span, null);
    if (landings.size > 0) this.open.push({ number, span, device: null, landings, message: null });
  }

  private users(span: Span, device: number | null): Set<Flight> {
    const found = this.side.flights.filter(
      (flight) => flight.copy !== null && !flight.inHand && concerns(flight, span, device),
    );
    if (found.length > 0) this.counts.reach('invalidation waits for landings');
    return new Set(found);
  }

  /** A place in flight is free again. */
  landed(flight: Flight, now: number): void {
    for (const open of [...this.open]) {
      if (!open.landings.delete(flight) || open.landings.size > 0) continue;
      if (open.message === null) this.close(open, now);
      else this.answer(open, now);
    }
  }

  private answer(open: Open, now: number): void {
    open.message = { at: 'back', due: now + this.way };
    this.alarm(open.message.due);
  }

  private close(open: Open, now: number): void {
    this.open.splice(this.open.indexOf(open), 1);
    this.tell(now);
  }

  private alarm(due: number): void {
    const { agent } = this;
    if (agent.state === 'blocked') agent.wake(due);
    else if (due < agent.clock) agent.spend('idle', due - agent.clock);
  }

  /** The first to get on, of several the oldest. */
  private next(): Open | undefined {
    const due = ({ message }: Open): number => message?.due ?? Number.POSITIVE_INFINITY;
    const first = Math.min(...this.open.map(due));
    return first === Number.POSITIVE_INFINITY ? undefined : this.open.find((open) => due(open) === first);
  }

  /** One turn: one message gets on. */
  turn(): void {
    const { agent } = this;
    const open = this.next();
    if (open !== undefined && open.message!.due <= agent.clock) this.move(open, agent.clock);
    const later = this.next();
    if (later === undefined) agent.block('idle');
    else agent.spend('idle', later.message!.due - agent.clock);
  }

  private move(open: Open, now: number): void {
    const { at } = open.message!;
    if (at === 'back') {
      this.answered++;
      if (this.faults.repeats > 0 && this.answered % this.faults.repeats === 0) this.counts.add('STRANGE');
      this.close(open, now);
      return;
    }
    const { span, device } = open;
    open.message = { at: at === 'lost' ? 'given up' : 'at the device', due: Number.POSITIVE_INFINITY };
    if (at === 'lost') {
      this.counts.reach('request given up');
      this.tell(now);
      return;
    }
    this.counts.on(device!, () => this.side.drop(this.side.deviceTlbs[device!]!, span.first, span.last));
    const { overtaken, answersEarly } = this.faults;
    for (const flight of overtaken ? [] : this.side.flights)
      if (concerns(flight, span, device)) flight.squashed.deviceTlb = true;
    for (const flight of answersEarly ? [] : this.users(span, device))
      if (flight.arrived || !overtaken) open.landings.add(flight);
    if (open.landings.size === 0) this.answer(open, now);
  }

  /** Takes the oldest request that was given up off the list. */
  takeGivenUp(): boolean {
    const open = this.open.find(({ message }) => message?.at === 'given up');
    if (open === undefined) return false;
    this.open.splice(this.open.indexOf(open), 1);
    return true;
  }
}

/** Whether it is about these pages, and in the hands of the device, if one is meant. */
function concerns({ page, device }: Flight, { first, last }: Span, whose: number | null): boolean {
  return page !== null && meets(page, first, last) && (whose === null || device === whose);
}
