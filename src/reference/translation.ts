import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import type { IoTables } from './dma-tables.ts';
import { Lock } from './lock.ts';
import { isMapped, meets, type Page } from './page.ts';
import type { Price } from './queue.ts';
import type { Flight, Secondary } from './secondary.ts';
import { absenceOf, type Copy, copyOf, type EntryAt, type Space, type Tlb } from './space.ts';

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
    private readonly side: Secondary,
    /** With leaves of several sizes; null: each page is a leaf of a table of its own. */
    private readonly tables: IoTables | null,
    private readonly price: Price,
    private readonly counts: Counts,
    /** S5: a walk has begun at a table that has been freed. */
    private readonly freedTable: (agent: Agent, page: Page) => void,
    private readonly rules: IotlbRules = { keepsAbsence: false, aliases: () => [] },
  ) {
    this.walkers = new Lock('walkers', walkers, 0, counts);
  }

  /** From the issue to the copy in the flight's hands. False: the access is denied; without page requests, at its walk. */
  *translate(
    agent: Agent,
    flight: Flight,
    page: Page,
    vpn: number,
    write: boolean,
    request: PageRequest | null,
  ): Turns<boolean> {
    const pages = (): Page[] => this.tables?.pagesAt(vpn) ?? [page];
    const deviceTlb = this.side.deviceTlbs[flight.device]!;
    if (this.ats) {
      const copy = this.lookup(() => deviceTlb, pages(), write);
      this.counts.add(copy ? 'DEVICE_HIT' : 'DEVICE_MISS');
      if (copy) {
        hold(flight, copy);
        agent.spend('translation', this.price('device.translate_hit'));
        return true;
      }
      agent.spend('translation', this.half);
    }
    yield;
    while (true) {
      if (this.side.released) {
        this.counts.reach('denied: the space was released');
        return false;
      }
      flight.squashed.iotlb = false;
      const copy = this.lookupIotlb(pages(), write);
      this.counts.add(copy ? 'IOTLB_HIT' : 'IOTLB_MISS');
      if (copy?.absent) {
        agent.spend('translation', this.price('iommu.iotlb_hit'));
        if (allows(page, write)) this.counts.add('SPURIOUS');
        else this.counts.reach('absence remembered');
        return false;
      }
      if (copy) {
        hold(flight, copy);
        agent.spend('translation', this.price('iommu.iotlb_hit'));
        break;
      }
      const walked = yield* this.walk(agent, flight, page, vpn, write);
      if (walked) break;
      if (walked === null) {
        yield;
        continue;
      }
      if (request === null) return false;
      yield;
      if (!(yield* request())) return false;
    }
    if (!this.ats) return true;
    agent.spend('translation', this.half);
    yield;
    // Asked for before an invalidation and back after it: used once, not cached.
    const { page: owner } = flight.copy!;
    if (!meets(owner, page.vpn, page.vpn + 2 ** page.order - 1)) this.counts.reach('translation of another domain');
    else if (flight.squashed.deviceTlb) this.counts.reach('translation not cached');
    else this.side.fill(deviceTlb, flight.copy!);
    return true;
  }

  private get half(): number {
    return Math.floor(this.price('ats.translation') / 2);
  }

  /** An entry, stale or not, that allows the access; of several the smallest. */
  private lookup(tlbOf: (page: Page) => Tlb, pages: readonly Page[], write: boolean): Copy | undefined {
    const copies = pages.flatMap((page) => tlbOf(page).peek(page) ?? []);
    if (copies.length > 1) this.counts.reach('entries of two sizes');
    const copy = copies.find(({ writes }) => writes || !write);
    if (copy !== undefined) tlbOf(copy.page).use(copy);
    return copy;
  }

  /** One that says that nothing is there refuses reads and writes alike. */
  private lookupIotlb(pages: readonly Page[], write: boolean): Copy | undefined {
    return this.lookup(
      ({ order }) => this.side.iotlbs[order / 9]!,
      [...pages, ...pages.flatMap((page) => this.rules.aliases(page))],
      write,
    );
  }

  /** In place of what has the same tag. */
  private fillIotlb(copy: Copy): void {
    const aliases = this.rules.aliases(copy.page);
    for (const iotlb of this.side.iotlbs) iotlb.drop(({ page }) => aliases.includes(page));
    const [small] = this.side.iotlbs;
    const iotlb = this.side.iotlbs[copy.page.order / 9]!;
    if (iotlb !== small) this.counts.reach('large leaf in an IOTLB of its own');
    this.side.fill(iotlb, copy);
  }

  /** Through all levels of a consumer's own table. */
  private *walkOwn(agent: Agent, flight: Flight, page: Page, write: boolean, own: Tlb): Turns<boolean> {
    this.walkers.take(agent);
    yield;
    this.counts.add('WALKS');
    this.counts.add('WALK_REFS', this.side.levels);
    agent.spend('device_walk', this.price('iommu.walk_start') + this.price('iommu.walk_ref') * this.side.levels);
    yield;
    this.walkers.give(agent);
    const copy = this.lookup(() => own, [page], write);
    if (copy === undefined) return false;
    hold(flight, copy);
    if (flight.squashed.iotlb) this.counts.reach('walk not cached');
    else this.fillIotlb(copy);
    return true;
  }

  /** Entries between the device and its tables that are in no cache, and are afterwards. */
  private entriesToRead(device: number): number {
    const { contexts, pasids, reads } = this.side;
    if (reads.context + reads.pasid === 0) return 0;
    const ofDevice = contexts.has(device) ? 0 : reads.context;
    const ofPasid = pasids.has(device) ? 0 : reads.pasid;
    this.counts.add(contexts.has(device) ? 'CONTEXT_HIT' : 'CONTEXT_MISS');
    if (reads.pasid > 0) this.counts.add(pasids.has(device) ? 'PASID_HIT' : 'PASID_MISS');
    contexts.add(device);
    pasids.add(device);
    return ofDevice + ofPasid;
  }

  /** Null if the space has been released meanwhile. */
  private *walk(agent: Agent, flight: Flight, page: Page, vpn: number, write: boolean): Turns<boolean | null> {
    const { tables } = this;
    if (this.side.own !== null) return yield* this.walkOwn(agent, flight, page, write, this.side.own);
    const { iommuWalker, dead } = this.side;
    const linked: EntryAt = (level) => (level === 2 && page.table.link !== 'linked' ? 'none' : 'table');
    const entryAt: EntryAt = (level) => tables?.entryAt(vpn, level) ?? linked(level);
    this.walkers.take(agent);
    yield;
    const entries = this.entriesToRead(flight.device);
    const { references, level, from } = iommuWalker.begin(vpn, entryAt);
    if (from === 1 && dead.has(page.table)) this.freedTable(agent, page);
    else dead.delete(page.table);
    agent.spend('device_walk', this.price('iommu.walk_start') + this.price('iommu.walk_ref') * (entries + references));
    yield;
    this.walkers.give(agent);
    // What counts is what is there when the time of the walk is over.
    const last = iommuWalker.descend(vpn, level, entryAt);
    if (last < level) this.counts.reach('walk goes on in a new table');
    if (this.side.released) {
      this.counts.reach('released during a walk');
      return null;
    }
    const leaf = tables === null ? page : tables.pageAt(vpn, last);
    if (leaf === null || !allows(leaf, write)) {
      const absent = !leaf?.pte.present && page.order === 0;
      if (this.rules.keepsAbsence && absent && !flight.squashed.iotlb) this.fillIotlb(absenceOf(page));
      return false;
    }
    const { pte } = leaf;
    this.space.set(leaf, { ...pte, accessed: true, dirty: pte.dirty || write }, leaf.frame, agent.turn);
    hold(flight, copyOf(leaf));
    if (flight.squashed.iotlb) this.counts.reach('walk not cached');
    else this.fillIotlb(flight.copy!);
    return true;
  }
}

/** The access has a translation, of a leaf that may not be the one by which its mapping was mapped. */
function hold(flight: Flight, copy: Copy): void {
  flight.copy = copy;
}

/** Whether the program has unmapped the page, or may not write it itself. */
export function isForbidden({ released }: Secondary, { kind, readOnly }: Page, write: boolean): boolean {
  return released || kind === 'gone' || (write && readOnly);
}

/** Whether the PTE grants the access. */
export function allows({ pte }: Page, write: boolean): boolean {
  return isMapped(pte) && (!write || pte.writable);
}
