import { consumerOf, type Machine } from '../model/machine.ts';
import { type CacheShape, NO_CACHE } from '../model/tlb.ts';
import type { Counts } from './counts.ts';
import { meets, type Page, type Table } from './page.ts';
import { type Copy, isStale, Tlb, Walker } from './space.ts';

/** A translation in the device's hands: a place in flight. */
export interface Flight {
  /** Whose place it is. */
  readonly device: number;
  page: Page | null;
  copy: Copy | null;
  /** The translation is at the device. */
  arrived: boolean;
  /** It has been read by a fault, for a consumer's own table; nobody has translated yet. */
  inHand: boolean;
  /** An invalidation has passed: it must not get into this cache any more. */
  squashed: { iotlb: boolean; deviceTlb: boolean };
}

/** Pages of a consumer's own table, at most: programs of the reference have fewer. */
const MOST_PAGES = 512;

/** The secondary MMU of one consumer: what its IOMMU and its devices keep of the space. */
export class Secondary {
  /** The IOMMU has no entry for the space any more. */
  released = false;
  /** Of leaves of 4 KiB, 2 MiB, 1 GiB; sizes may share one. */
  readonly iotlbs: readonly Tlb[];
  /** One of each device. */
  readonly deviceTlbs: readonly Tlb[];
  readonly iommuWalker: Walker;
  /** What a consumer is translated by that does not share the tables. It has room for all pages. */
  readonly own: Tlb | null;
  readonly flights: Flight[];
  /** Of a walk. */
  readonly levels: number;
  /** Entries ahead of a walk, where they are in no cache. */
  readonly reads: { readonly context: number; readonly pasid: number };
  /** Devices whose context entry, and whose PASID's entry, the IOMMU has read and kept. */
  readonly contexts = new Set<number>();
  readonly pasids = new Set<number>();
  /** Freed tables that the IOMMU knew when they were freed. */
  readonly dead = new Set<Table>();

  constructor(
    machine: Machine,
    ats: boolean,
    seed: number,
    private readonly ideal: boolean,
    devices: number,
    private readonly counts: Counts,
  ) {
    const { iommu, device } = machine;
    this.levels = iommu.levels;
    this.reads = { context: iommu.contextReads, pasid: iommu.pasidReads };
    const room: CacheShape = { sets: 1, ways: MOST_PAGES, replacement: 'lru' };
    this.own = consumerOf(machine).table === 'own' ? new Tlb(room, 0) : null;
    // Each cache draws for itself: its seed is the run's and its number, from 1.
    const small = new Tlb(iommu.iotlb, seed + 7);
    const large = iommu.iotlbLarge === 'shared' ? small : new Tlb(iommu.iotlbLarge, seed + 41);
    const huge = iommu.iotlbHuge === 'shared' ? small : new Tlb(iommu.iotlbHuge, seed + 42);
    this.iotlbs = [small, large, huge];
    this.iommuWalker = new Walker(iommu.walkCache, iommu.levels, seed + 8, counts);
    const shape = ats ? device.deviceTlb : NO_CACHE;
    this.deviceTlbs = Array.from({ length: devices }, (_, i) => new Tlb(shape, seed + 11 + 16 * i));
    this.flights = Array.from({ length: devices * device.outstanding }, (_, i) => ({
      device: Math.floor(i / device.outstanding),
      page: null,
      copy: null,
      arrived: false,
      inHand: false,
      squashed: { iotlb: false, deviceTlb: false },
    }));
  }

  get tlbs(): Tlb[] {
    return [...this.iotlbs, ...this.deviceTlbs, ...(this.own === null ? [] : [this.own])];
  }

  /** All that it would translate by. */
  copies(): Copy[] {
    const flying = this.flights.flatMap(({ copy }) => (copy === null ? [] : [copy]));
    return this.tlbs.flatMap((tlb) => tlb.entries()).concat(flying);
  }

  fill(tlb: Tlb, copy: Copy): void {
    const evicted = tlb.fill(copy);
    if (evicted !== undefined && isStale(evicted)) this.counts.reach('stale copy evicted');
    if (isStale(copy)) this.counts.reach('stale copy filled');
  }

  drop(tlb: Tlb, first: number, last: number): void {
    for (const copy of tlb.drop(({ page }) => meets(page, first, last)))
      if (!copy.absent && (this.ideal || !isStale(copy))) this.counts.add('OVER');
  }
}
