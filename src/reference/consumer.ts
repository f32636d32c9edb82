import { type Consumer, hears } from '../model/consumer.ts';
import type { StepWord } from '../model/policy.ts';
import type { Agent } from './agent.ts';
import type { Counts } from './counts.ts';
import { meets, type Page } from './page.ts';
import type { Price } from './queue.ts';
import type { Flight, Secondary } from './secondary.ts';
import { type Copy, copyOf, isStale, type Space } from './space.ts';
import type { Span } from './span.ts';

/** What an mmu_notifier consumer keeps beside the caches of its hardware, and what it has been told. */
export class Listener {
  /** What has been told so far; the length is the sequence count. */
  private readonly told: Span[] = [];
  /** Ranges that have begun and not ended. */
  private readonly begun = new Map<Agent, Span>();
  private waiting: Agent[] = [];
  /** Faults that have read a PTE, and the sequence count at that time. */
  private readonly faults = new Map<Flight, number>();

  constructor(
    private readonly consumer: Consumer,
    private readonly space: Space,
    private readonly side: Secondary,
    private readonly price: Price,
    private readonly counts: Counts,
    private readonly ideal: boolean,
  ) {}

  get zapsAtStart(): boolean {
    return this.consumer.start === 'zap';
  }

  hears(word: StepWord): boolean {
    return hears(this.consumer, word);
  }

  get hasOwnTable(): boolean {
    return this.consumer.table === 'own';
  }

  // ---- what it is told ----

  begin(agent: Agent, span: Span): void {
    this.begun.set(agent, span);
    this.tell(span);
  }

  end(agent: Agent): void {
    this.begun.delete(agent);
    if (this.consumer.retry === 'none') return;
    const known = agent.tell();
    for (const other of this.waiting.splice(0).sort((a, b) => a.id - b.id)) {
      other.wake(agent.clock);
      other.hear(known);
    }
  }

  /** An invalidation: nothing that a fault has read before is of use, if it looks. */
  tell(span: Span): void {
    this.told.push(span);
    for (const [flight] of this.faults) if (this.isLate(flight)) flight.copy = null;
  }

  /** Whether an invalidation of the range would find nothing to do. */
  skips({ first, last }: Span): boolean {
    if (this.consumer.invalidate !== 'if-present') return false;
    const skips = !this.space.pages.some((page) => page.pte.present && meets(page, first, last));
    if (skips) this.counts.reach('nothing is mapped: not flushed');
    return skips;
  }

  /** The range leaves its own table. Returns whether there was any of it. */
  empty(agent: Agent, { first, last }: Span): boolean {
    const gone = this.side.own!.drop(({ page }) => meets(page, first, last));
    this.counts.reach(gone.length > 0 ? 'table of its own emptied' : 'table of its own has nothing of it');
    agent.spend('notifier', this.price('pte.clear') * gone.length);
    return gone.length > 0;
  }

  // ---- its faults ----

  private concerns(page: Page, { first, last }: Span): boolean {
    return this.consumer.retry === 'any' || (this.consumer.retry === 'overlap' && meets(page, first, last));
  }

  /** Whether a fault on the page waits until a range ends; it blocks then. */
  waits(agent: Agent, page: Page): boolean {
    if (![...this.begun.values()].some((span) => this.concerns(page, span))) return false;
    this.counts.reach('fault waits for range_end');
    this.waiting.push(agent);
    agent.block('page_request');
    return true;
  }

  /** A fault reads the PTE. */
  read(agent: Agent, flight: Flight, page: Page, write: boolean): void {
    const { pte } = page;
    this.space.set(page, { ...pte, accessed: true, dirty: pte.dirty || write }, page.frame, agent.turn);
    flight.copy = copyOf(page);
    flight.inHand = true;
    flight.squashed = { iotlb: false, deviceTlb: false };
    this.faults.set(flight, this.told.length);
    agent.spend('page_request', this.price('pte.set'));
  }

  private isLate(flight: Flight): boolean {
    return this.told.slice(this.faults.get(flight)!).some((span) => this.concerns(flight.page!, span));
  }

  /** What it has read goes into the table. False: an invalidation was faster, and the fault begins anew. */
  install(flight: Flight): boolean {
    const late = this.isLate(flight) || (this.ideal && flight.squashed.iotlb);
    const copy: Copy | null = flight.copy;
    this.faults.delete(flight);
    flight.copy = null;
    flight.inHand = false;
    if (late) {
      this.counts.add('FAULT_RETRIES');
      this.counts.reach('fault begun anew');
      return false;
    }
    if (isStale(copy!)) this.counts.reach('old translation goes into the table');
    this.side.fill(this.side.own!, copy!);
    return true;
  }
}
