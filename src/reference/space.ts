import { consumerOf, type Machine, type WalkCache } from '../model/machine.ts';
import { type CacheShape, NO_CACHE } from '../model/tlb.ts';
import { ReferenceCache } from './cache.ts';
import type { Counts } from './counts.ts';
import type { Frame } from './frame.ts';
import { EMPTY, isMapped, type Kind, meets, type Page, type Pte, type Table } from './page.ts';

/** A translation that somebody has copied from a PTE: what it said when it was read. */
export interface Copy {
  readonly page: Page;
  readonly frame: Frame;
  readonly incarnation: number;
  /** It grants writing, and the page was dirty already. */
  readonly writes: boolean;
  /** It says that the page is not there. */
  readonly absent?: true;
}

/** The PTE as it is now, for somebody to keep. */
export function copyOf(page: Page): Copy {
  const { pte, frame } = page;
  return { page, frame: frame!, incarnation: frame!.incarnation, writes: pte.writable && pte.dirty };
}

/** What caching mode keeps of a page that is not there. */
export function absenceOf(page: Page): Copy {
  const nowhere: Frame = { number: -1, incarnation: 0, refs: 0, free: false, owner: null };
  return { page, frame: nowhere, incarnation: 0, writes: true, absent: true };
}

/** Whether the PTE says something else by now. */
export function isStale({ page, frame, incarnation, writes, absent }: Copy): boolean {
  if (absent) return false;
  const { pte } = page;
  if (!isMapped(pte) || page.frame !== frame || frame.incarnation !== incarnation) return true;
  return writes && !(pte.writable && pte.dirty);
}

/** Whether the frame has been freed since. */
export function isFreed({ frame, incarnation }: Copy): boolean {
  return frame.incarnation !== incarnation;
}

/** By what the set of a copy is chosen: the number of its leaf. */
function placeOf({ page }: Copy): number {
  return Math.floor(page.vpn / 2 ** page.order);
}

/** Pages of a consumer's own table, at most: programs of the reference have fewer. */
const MOST_PAGES = 512;

/** A cache of copies, by page. */
export class Tlb {
  private readonly cache: ReferenceCache<Copy>;
  private readonly copies = new Map<Page, Copy>();

  constructor(
    private readonly shape: CacheShape,
    seed: number,
  ) {
    this.cache = new ReferenceCache<Copy>(shape, seed, (a, b) => a === b);
  }

  /** The page's copy in any state. Nothing is used by looking. */
  peek(page: Page): Copy | undefined {
    return this.copies.get(page);
  }

  /** The copy was used. */
  use(copy: Copy): void {
    this.cache.lookup(placeOf(copy), copy);
  }

  /** One more access of a run that has the page's copy: of interest to those who count, or who expect none. */
  useAgain(page: Page): void {
    const copy = this.peek(page);
    if (copy !== undefined && ['srrip', 'lfu'].includes(this.shape.replacement)) this.use(copy);
  }

  /** In place of an older copy of the page. Returns what fell out. */
  fill(copy: Copy): Copy | undefined {
    if (this.shape.sets === 0) return undefined;
    if (this.copies.has(copy.page)) this.drop(({ page }) => page === copy.page);
    const evicted = this.cache.fill(placeOf(copy), copy);
    if (evicted) this.copies.delete(evicted.page);
    this.copies.set(copy.page, copy);
    return evicted;
  }

  drop(which: (copy: Copy) => boolean): Copy[] {
    if (![...this.copies.values()].some(which)) return [];
    const gone = this.cache.remove(which);
    for (const { page } of gone) this.copies.delete(page);
    return gone;
  }

  entries(): Copy[] {
    return [...this.copies.values()];
  }
}

/** Caches of the upper levels of a walk. */
export class Walker {
  private readonly levels: readonly { shape: CacheShape; cache: ReferenceCache<number> }[];

  constructor(
    { pde, pdpte, pml4e }: WalkCache,
    /** Of the tables. */
    private readonly height: number,
    seed: number,
    private readonly counts: Counts,
  ) {
    this.levels = [pde, pdpte, pml4e, NO_CACHE].map((shape, i) => ({
      shape,
      cache: new ReferenceCache<number>(shape, seed + i, (a, b) => a === b),
    }));
  }

  empty(): void {
    for (const { cache } of this.levels) cache.remove(() => true);
  }

  /** Forgets the tables of these pages. */
  drop(first: number, last: number): void {
    this.levels.forEach(({ cache }, i) => {
      const pages = 512 ** (i + 1);
      const gone = cache.remove((table) => table * pages <= last && (table + 1) * pages > first);
      if (gone.length > 0) this.counts.reach('table forgotten');
    });
  }

  /** Whether it knows a leaf table; nothing is used by asking. */
  knows({ key }: Table): boolean {
    let known = false;
    this.levels[0]!.cache.remove((table) => {
      if (table === key) known = true;
      return false;
    });
    return known;
  }

  /** Tables above the leaf that a walk has to read, where all of them are there. */
  walk({ key }: Table): number {
    return this.begin(key * 512, () => 'table').references - 1;
  }

  /**
   * Walks to a page number: from the lowest table that is known, which it knows all below of afterwards, down to the first
   * entry that is no table. `from`: level of the table that was known.
   */
  begin(
    vpn: number,
    entryAt: EntryAt,
  ): { readonly references: number; readonly level: number; readonly from: number | null } {
    const known = this.levels.findIndex(({ shape, cache }, i) => {
      const { place, table } = this.names(vpn, i + 1);
      return i + 1 < this.height && shape.sets > 0 && cache.lookup(place, table) !== undefined;
    });
    const from = known < 0 ? this.height : known + 1;
    const level = this.descend(vpn, from, entryAt);
    const references = from - level + 1;
    this.counts.add('WALKS');
    this.counts.add(known < 0 ? 'WALK_CACHE_MISS' : 'WALK_CACHE_HIT');
    this.counts.add('WALK_REFS', references);
    return { references, level, from: known < 0 ? null : from };
  }

  /** From the table of a level down. Returns the level of the first entry that is no table. */
  descend(vpn: number, from: number, entryAt: EntryAt): number {
    let level = from;
    while (level > 1 && entryAt(level) === 'table') {
      level--;
      const { shape, cache } = this.levels[level - 1]!;
      const { place, table } = this.names(vpn, level);
      if (shape.sets === 0) continue;
      cache.remove((known) => known === table);
      cache.fill(place, table);
    }
    return level;
  }

  /** A table is known by its space and the part of the address that leads to it; its set by that part alone. */
  private names(vpn: number, level: number): { readonly place: number; readonly table: number } {
    const inSpace = vpn % 512 ** this.height;
    return { place: Math.floor(inSpace / 512 ** level), table: Math.floor(vpn / 512 ** level) };
  }
}

/** What the tables say at a level of the way to a page number: there is a table below, or there is not. */
export type EntryAt = (level: number) => 'table' | 'none';

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

/** What one CPU keeps of the space. */
export class CpuTlbs {
  /** Something of it has changed: its open runs are looked up again. */
  stirred = false;

  constructor(
    readonly l1i: Tlb,
    readonly l1d: Tlb,
    readonly l2: Tlb,
    readonly walker: Walker,
  ) {}

  get all(): Tlb[] {
    return [this.l1i, this.l1d, this.l2];
  }

  copies(page: Page): Copy[] {
    return this.all.flatMap((tlb) => tlb.peek(page) ?? []);
  }
}

/** The address space: its pages, and everyone who keeps copies of their PTEs. */
export class Space {
  /** The IOMMU has no entry for it any more. */
  released = false;
  readonly pages: Page[] = [];
  /** In order of address. */
  private readonly tables: Table[] = [];
  readonly cpus: readonly CpuTlbs[];
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
  /** Freed tables that the IOMMU knew when they were freed. */
  readonly dead = new Set<Table>();
  /** Pages with a window. */
  private readonly open = new Set<Page>();

  constructor(
    machine: Machine,
    ats: boolean,
    seed: number,
    private readonly ideal: boolean,
    cpus: number,
    devices: number,
    private readonly counts: Counts,
  ) {
    const { cpu, iommu, device } = machine;
    this.levels = iommu.levels;
    const room: CacheShape = { sets: 1, ways: MOST_PAGES, replacement: 'lru' };
    this.own = consumerOf(machine).table === 'own' ? new Tlb(room, 0) : null;
    // Each cache draws for itself: its seed is the run's and its number, from 1.
    this.cpus = Array.from({ length: cpus }, (_, i) => {
      const own = seed + 16 * i;
      const tlbs = [new Tlb(cpu.l1i, own + 1), new Tlb(cpu.l1d, own + 2), new Tlb(cpu.l2, own + 3)] as const;
      return new CpuTlbs(...tlbs, new Walker(cpu.walkCache, iommu.levels, own + 4, counts));
    });
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

  addPage(vpn: number, kind: Kind, order = 0): Page {
    const key = Math.floor(vpn / 512);
    let table = this.tables.find((known) => known.key === key);
    if (table === undefined) {
      table = { id: this.tables.length, key, pages: [], link: 'linked' };
      this.tables.push(table);
      this.tables.sort((a, b) => a.key - b.key);
    }
    const page: Page = {
      id: this.pages.length,
      vpn,
      order,
      table,
      kind,
      readOnly: false,
      touched: false,
      pte: EMPTY,
      frame: null,
      user: null,
      asked: false,
      window: null,
      cpuWindow: null,
      worked: false,
    };
    this.pages.push(page);
    if (order > 0) return page;
    table.pages.push(page);
    table.pages.sort((a, b) => a.vpn - b.vpn);
    return page;
  }

  pageAt(vpn: number): Page | undefined {
    return this.pages.find((page) => page.vpn === vpn);
  }

  /** Leaf tables that a range reaches into. */
  tablesIn(first: number, end: number): Table[] {
    return this.tables.filter(({ key }) => key >= Math.floor(first / 512) && key <= Math.floor((end - 1) / 512));
  }

  /** Page tables of the last two levels that pages of a range have. */
  lastTables(first: number, last: number): number {
    const pages = this.pages.filter(({ vpn, order }) => order <= 9 && vpn >= first && vpn <= last);
    const leafTables = pages.filter(({ order }) => order === 0).map(({ vpn }) => Math.floor(vpn / 512));
    const above = pages.map(({ vpn }) => Math.floor(vpn / 512 / 512));
    return new Set(leafTables).size + new Set(above).size;
  }

  /** Copies of a page that the IOMMU or the device would use, stale ones only. */
  staleCopies(page: Page): Copy[] {
    if (this.ideal) return [];
    return this.secondaryCopies().filter((copy) => copy.page === page && isStale(copy));
  }

  private secondaryCopies(): Copy[] {
    const flying = this.flights.flatMap(({ copy }) => (copy === null ? [] : [copy]));
    return [...this.iotlbs, ...this.deviceTlbs, ...this.ownTlb].flatMap((tlb) => tlb.entries()).concat(flying);
  }

  private get ownTlb(): Tlb[] {
    return this.own === null ? [] : [this.own];
  }

  /** Replaces a PTE. */
  set(page: Page, pte: Readonly<Pte>, frame: Frame | null, now: number): void {
    const before = this.cpus.map((cpu) => cpu.copies(page).map(isStale));
    page.pte = { ...pte };
    if (isMapped(pte)) page.table.link = 'linked';
    page.frame = frame;
    for (const [i, cpu] of this.cpus.entries())
      if (cpu.copies(page).some((copy, j) => isStale(copy) !== before[i]![j])) cpu.stirred = true;
    if (this.ideal) this.vanish(page);
    this.watch(page, now);
    this.watchCpu(page, now);
  }

  /** In the ideal machine stale copies are gone at once. What is in flight lands as if it had come before the change. */
  private vanish(page: Page): void {
    for (const tlb of [...this.cpus.flatMap((cpu) => cpu.all), ...this.iotlbs, ...this.deviceTlbs, ...this.ownTlb])
      tlb.drop((copy) => copy.page === page && (isStale(copy) || (copy.absent === true && isMapped(page.pte))));
    for (const flight of this.flights)
      if (flight.copy?.page === page && isStale(flight.copy)) flight.squashed = { iotlb: true, deviceTlb: true };
  }

  private cpuCopies(page: Page): Copy[] {
    return this.cpus.flatMap((cpu) => cpu.copies(page));
  }

  // ---- windows ----

  /** Opens or closes the window of a page, as there are stale copies of it or not. */
  watch(page: Page, now: number, stale = this.staleCopies(page).length > 0): void {
    if (stale && page.window === null) {
      page.window = { opened: now, obliged: null, owed: [] };
      this.open.add(page);
      this.counts.reach('window opened');
    } else if (!stale && page.window !== null) {
      const { opened, obliged } = page.window;
      page.window = null;
      this.open.delete(page);
      if (now < opened || now < (obliged ?? 0)) throw new Error(`page ${page.id}: a window ends before it begins`);
      this.counts.lasted('window', now - opened);
      if (obliged !== null) this.counts.lasted('exposed', now - obliged);
    }
  }

  /** All pages; at the end of each turn, so that nothing escapes. */
  watchAll(now: number): void {
    const stale = this.ideal ? [] : this.secondaryCopies().filter(isStale);
    if (stale.length === 0 && this.open.size === 0) return;
    const pages = new Set(stale.map(({ page }) => page));
    for (const page of new Set([...pages, ...this.open])) this.watch(page, now, pages.has(page));
  }

  watchCpu(page: Page, now: number): void {
    const stale = this.cpuCopies(page).some(isStale);
    if (stale && page.cpuWindow === null) page.cpuWindow = now;
    else if (!stale && page.cpuWindow !== null) {
      // The CPU may have run ahead of who opened it.
      this.counts.lasted('cpuWindow', Math.max(0, now - page.cpuWindow));
      page.cpuWindow = null;
    }
  }

  // ---- fills and invalidations ----

  fillCpu(tlb: Tlb, copy: Copy, now: number): void {
    const evicted = tlb.fill(copy);
    this.watchCpu(copy.page, now);
    if (evicted === undefined) return;
    if (isStale(evicted)) this.counts.reach('stale CPU entry evicted');
    this.watchCpu(evicted.page, now);
  }

  fillSecondary(tlb: Tlb, copy: Copy): void {
    const evicted = tlb.fill(copy);
    if (evicted !== undefined && isStale(evicted)) this.counts.reach('stale copy evicted');
    if (isStale(copy)) this.counts.reach('stale copy filled');
  }

  dropSecondary(tlb: Tlb, first: number, last: number): void {
    for (const copy of tlb.drop(({ page }) => meets(page, first, last)))
      if (!copy.absent && (this.ideal || !isStale(copy))) this.counts.add('OVER');
  }

  /** INVLPG drops the walk caches too (Intel SDM vol. 3A, 4.10.4.1). */
  flushCpuPage(cpu: CpuTlbs, page: Page, now: number): void {
    for (const tlb of cpu.all) tlb.drop((copy) => copy.page === page);
    this.flushed(cpu, 'CPU_PAGE');
    this.watchCpu(page, now);
  }

  flushCpu(cpu: CpuTlbs, now: number): void {
    for (const tlb of cpu.all) tlb.drop(() => true);
    this.flushed(cpu, 'CPU_FULL');
    for (const page of this.pages) this.watchCpu(page, now);
  }

  private flushed(cpu: CpuTlbs, counter: 'CPU_PAGE' | 'CPU_FULL'): void {
    cpu.walker.empty();
    cpu.stirred = true;
    this.counts.add(counter);
  }
}
