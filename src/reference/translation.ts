import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import { Lock } from './lock.ts';
import type { Page } from './page.ts';
import type { Price } from './queue.ts';
import { absenceOf, type Copy, copyOf, type Flight, type Space, type Tlb } from './space.ts';

/** What becomes of an access that the walk does not grant: it may be granted later (true), or is denied (false). */
export type PageRequest = () => Turns<boolean>;

/** What is particular to an IOTLB. */
export interface IotlbRules {
  /** It holds what is not present, too. */
  readonly keepsAbsence: boolean;
  /** Pages whose entries have the tag of a page's: those of other domains with the same number. */
  readonly aliases: (page: Page) => readonly Page[];
}

/** How an access of a device gets its translation: device TLB, ATS request, IOTLB, walk. */
export class Translator {
  private readonly walkers: Lock;

  constructor(
    private readonly ats: boolean,
    walkers: number,
    private readonly space: Space,
    private readonly price: Price,
    private readonly counts: Counts,
    private readonly rules: IotlbRules = { keepsAbsence: false, aliases: () => [] },
  ) {
    this.walkers = new Lock('walkers', walkers, 0, counts);
  }

  /** From the issue to the copy in the flight's hands. False: the access is denied; without page requests, at its walk. */
  *translate(agent: Agent, flight: Flight, page: Page, write: boolean, request: PageRequest | null): Turns<boolean> {
    const deviceTlb = this.space.deviceTlbs[flight.device]!;
    if (this.ats) {
      const copy = this.lookup(deviceTlb, page, write);
      this.counts.add(copy ? 'DEVICE_HIT' : 'DEVICE_MISS');
      if (copy) {
        flight.copy = copy;
        agent.spend('translation', this.price('device.translate_hit'));
        return true;
      }
      agent.spend('translation', this.half);
    }
    yield;
    while (true) {
      flight.squashed.iotlb = false;
      const copy = this.lookupIotlb(page, write);
      this.counts.add(copy ? 'IOTLB_HIT' : 'IOTLB_MISS');
      if (copy?.absent) {
        agent.spend('translation', this.price('iommu.iotlb_hit'));
        if (allows(page, write)) this.counts.add('SPURIOUS');
        else this.counts.reach('absence remembered');
        return false;
      }
      if (copy) {
        flight.copy = copy;
        agent.spend('translation', this.price('iommu.iotlb_hit'));
        break;
      }
      if (yield* this.walk(agent, flight, page, write)) break;
      if (request === null) return false;
      yield;
      if (!(yield* request())) return false;
      // A new request.
      flight.squashed.deviceTlb = false;
    }
    if (!this.ats) return true;
    agent.spend('translation', this.half);
    yield;
    // Asked for before an invalidation and back after it: used once, not cached.
    if (flight.copy!.page !== page) this.counts.reach('translation of another domain');
    else if (flight.squashed.deviceTlb) this.counts.reach('translation not cached');
    else this.space.fillSecondary(deviceTlb, flight.copy!);
    return true;
  }

  private get half(): number {
    return Math.floor(this.price('ats.translation') / 2);
  }

  /** An entry, stale or not, that allows the access. */
  private lookup(tlb: Tlb, page: Page, write: boolean): Copy | undefined {
    const copy = tlb.peek(page);
    if (copy === undefined || (write && !copy.writes)) return undefined;
    tlb.use(copy);
    return copy;
  }

  /** One that says that nothing is there refuses reads and writes alike. */
  private lookupIotlb(page: Page, write: boolean): Copy | undefined {
    const { iotlb } = this.space;
    for (const tagged of [page, ...this.rules.aliases(page)]) {
      const copy = this.lookup(iotlb, tagged, write);
      if (copy !== undefined) return copy;
    }
    return undefined;
  }

  /** In place of what has the same tag. */
  private fillIotlb(copy: Copy): void {
    const aliases = this.rules.aliases(copy.page);
    this.space.iotlb.drop(({ page }) => aliases.includes(page));
    this.space.fillSecondary(this.space.iotlb, copy);
  }

  private *walk(agent: Agent, flight: Flight, page: Page, write: boolean): Turns<boolean> {
    this.walkers.take(agent);
    yield;
    const references = 1 + this.space.iommuWalker.walk(page.table);
    agent.spend('device_walk', this.price('iommu.walk_start') + this.price('iommu.walk_ref') * references);
    yield;
    this.walkers.give(agent);
    if (!allows(page, write)) {
      if (this.rules.keepsAbsence && !page.pte.present && !flight.squashed.iotlb) this.fillIotlb(absenceOf(page));
      return false;
    }
    const { pte } = page;
    this.space.set(page, { ...pte, accessed: true, dirty: pte.dirty || write }, page.frame, agent.turn);
    flight.copy = copyOf(page);
    if (flight.squashed.iotlb) this.counts.reach('walk not cached');
    else this.fillIotlb(flight.copy);
    return true;
  }
}

/** Whether the PTE grants the access. */
export function allows({ pte }: Page, write: boolean): boolean {
  return pte.present && (!write || pte.writable);
}
