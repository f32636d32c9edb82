import type { Machine, WalkCache } from '../model/machine.ts';
import { type CacheShape, NO_CACHE } from '../model/tlb.ts';
import { ReferenceCache } from './cache.ts';
import type { Counts } from './counts.ts';
import type { Frame } from './frame.ts';
import { EMPTY, isMapped, type Kind, type Page, type Pte, type Table } from './page.ts';
import type { Secondary } from './secondary.ts';

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
  readonly pages: Page[] = [];
  /** In order of address. */
  private readonly tables: Table[] = [];
  readonly cpus: readonly CpuTlbs[];
  /** Pages with a window. */
  private readonly open = new Set<Page>();

  constructor(
    { cpu, iommu }: Machine,
    seed: number,
    private readonly ideal: boolean,
    cpus: number,
    /** Of each of those whose devices translate by it. */
    readonly secondaries: readonly Secondary[],
    private readonly counts: Counts,
  ) {
    // Each cache draws for itself: its seed is the run's and its number, from 1.
    this.cpus = Array.from({ length: cpus }, (_, i) => {
      const own = seed + 16 * i;
      const tlbs = [new Tlb(cpu.l1i, own + 1), new Tlb(cpu.l1d, own + 2), new Tlb(cpu.l2, own + 3)] as const;
      return new CpuTlbs(...tlbs, new Walker(cpu.walkCache, iommu.levels, own + 4, counts));
    });
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
    return this.secondaries.flatMap((secondary) => secondary.copies());
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
    const tlbs = this.secondaries.flatMap((secondary) => secondary.tlbs);
    for (const tlb of [...this.cpus.flatMap((cpu) => cpu.all), ...tlbs])
      tlb.drop((copy) => copy.page === page && (isStale(copy) || (copy.absent === true && isMapped(page.pte))));
    for (const flight of this.secondaries.flatMap(({ flights }) => flights))
      if (flight.copy?.page === page && isStale(flight.copy)) flight.squashed = { iotlb: true, deviceTlb: true };
  }

  private cpuCopies(page: Page): Copy[] {
    return this.cpus.flatMap((cpu) => cpu.copies(page));
  }

  // ---- windows ----

  /** Opens or closes the window of a page, as there are stale copies of it or not. */
  watch(page: Page, now: number, stale = this.staleCopies(page).length > 0): void {
    if (stale && page.window === null) {
      page.window = { opened: now, obliged: null, owed: [], met: new Set() };
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
    if (stale && page.cpuWindow === null) page.cpuWindow = { opened: now, late: 'nothing', met: new Set() };
    else if (!stale && page.cpuWindow !== null) {
      // The CPU may have run ahead of who opened it.
      this.counts.lasted('cpuWindow', Math.max(0, now - page.cpuWindow.opened));
      page.cpuWindow = null;
    }
  }

  /** Whether a call that took the page away, or the right to write it, has returned while the entry was there. */
  isLate({ cpuWindow }: Page, write: boolean): boolean {
    return cpuWindow?.late === 'all' || (write && cpuWindow?.late === 'write');
  }

  // ---- fills and invalidations ----

  fillCpu(tlb: Tlb, copy: Copy, now: number): void {
    const evicted = tlb.fill(copy);
    this.watchCpu(copy.page, now);
    if (evicted === undefined) return;
    if (isStale(evicted)) this.counts.reach('stale CPU entry evicted');
    this.watchCpu(evicted.page, now);
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
