import type { Machine } from '../model/machine.ts';
import type { Counts } from './counts.ts';
import type { Mapping } from './dma-recording.ts';
import { IoTables } from './dma-tables.ts';
import type { Frame } from './frame.ts';
import { EMPTY, meets, type Page } from './page.ts';
import type { Safety } from './safety.ts';
import type { Space } from './space.ts';
import type { Span } from './span.ts';

/** Domains share one numbering of pages: each has so many. */
const DOMAIN_PAGES = 2 ** 40;

/** All pages of a domain. */
export function domainSpan(space: number): Span {
  const first = space * DOMAIN_PAGES;
  return { first, last: first + DOMAIN_PAGES - 1, whole: true };
}

/** Domain of a page number. */
export function domainOf(vpn: number): number {
  return Math.floor(vpn / DOMAIN_PAGES);
}

/** Page number within its domain. */
export function inDomain(vpn: number): number {
  return vpn % DOMAIN_PAGES;
}

/** The I/O page tables of all domains, the frames behind them, and which unmaps have been invalidated. */
export class Domains {
  readonly tables: IoTables;
  /** By domain and number, those of a leaf by its order, too. `refs`: mappings that cover it. */
  private readonly frames = new Map<string, Frame>();
  /** Pages whose last unmap no complete invalidation covers, with the number of that unmap. */
  private readonly uncovered = new Map<Page, number>();
  private unmaps = 0;
  /** Incarnation of each frame of a mapping when it was lent without a translation. */
  private readonly lentAs = new Map<Mapping, readonly number[]>();

  constructor(
    private readonly space: Space,
    private readonly safety: Safety,
    private readonly counts: Counts,
    /** At each unmap old translations vanish by themselves. */
    private readonly ideal: boolean,
    { iommu, driver, hazards }: Machine,
  ) {
    // Where domains share an id all leaves are alike.
    this.tables = new IoTables(hazards.includes('shared-domain-id') ? ['4K'] : driver.pageSizes, iommu.levels);
  }

  /** The leaf by which a page of a mapping is mapped. */
  page(mapping: Mapping, index: number): Page {
    return this.tables.leafIn(mapping.page + index, mapping.page, mapping.frame, mapping.pages);
  }

  /** The frames of a leaf as one; it is another incarnation as soon as one of them is. */
  private frameOf(mapping: Mapping, index: number, order: number): Frame {
    const first = this.frame(mapping, index);
    if (order === 0) return first;
    const name = `${mapping.space}:${mapping.frame + index}:${order}`;
    let found = this.frames.get(name);
    if (found === undefined) {
      const parts = Array.from({ length: 2 ** order }, (_, i) => this.frame(mapping, index + i));
      const { number, refs, free, owner } = first;
      found = {
        number,
        get incarnation() {
          return parts.reduce((sum, part) => sum + part.incarnation, 0);
        },
        refs,
        free,
        owner,
      };
      this.frames.set(name, found);
    }
    return found;
  }

  frame({ space, frame }: Mapping, index: number): Frame {
    const key = `${space}:${frame + index}`;
    let found = this.frames.get(key);
    if (found === undefined) {
      found = { number: frame + index, incarnation: 0, refs: 0, free: false, owner: null };
      this.frames.set(key, found);
    }
    return found;
  }

  /**
   * The PTEs are set. S6: the invalidation that an IOVA's last unmap needs must be complete. Returns how many PTEs, and
   * whether tables had to make place for them.
   */
  map(mapping: Mapping, now: number, record: number): { readonly entries: number; readonly replaces: boolean } {
    const leaves = this.leavesOf(mapping);
    let replaces = false;
    for (const { vpn, order, index } of leaves) {
      let page = this.tables.leaf(vpn, order);
      if (page === undefined) {
        page = this.space.addPage(vpn, 'gone', order);
        this.tables.add(page);
      }
      if (order > 0) this.counts.reach(`leaf of order ${order}`);
      const others = order > 0 ? [...this.uncovered.keys()] : this.tables.pagesAt(vpn);
      for (const old of others)
        if (meets(old, vpn, vpn + 2 ** order - 1) && this.uncovered.delete(old)) {
          this.counts.add('S6');
          const changed = page.window?.opened ?? now;
          this.counts.first ??= { property: 6, page: page.id, changed, at: now, agent: 0, record };
        }
      if (this.tables.link(page)) replaces = true;
      for (let i = index; i < index + 2 ** order; i++) this.frame(mapping, i).refs++;
      const { writable } = mapping;
      const pte = { ...EMPTY, present: true, accessed: true, writable, dirty: writable };
      this.tables.set(page);
      this.space.set(page, pte, this.frameOf(mapping, index, order), now);
      this.counts.add('MAPPED', 2 ** order);
    }
    if (replaces) this.counts.reach('leaf in place of tables');
    return { entries: leaves.length, replaces };
  }

  /** The PTEs are cleared. Returns how many. */
  unmap(mapping: Mapping, now: number): number {
    this.unmaps++;
    const pages = this.pagesOf(mapping);
    for (const page of pages) {
      if (!this.ideal) this.uncovered.set(page, this.unmaps);
      this.tables.clear(page);
      this.space.set(page, EMPTY, null, now);
      this.safety.changed(page);
      this.counts.add('UNMAPPED', 2 ** page.order);
    }
    return pages.length;
  }

  /** dma_unmap returns: old translations must be unusable by now, and the frames are the driver's again. */
  handBack(mapping: Mapping, now: number): void {
    mapping.state = 'returned';
    for (const page of this.pagesOf(mapping)) {
      // A window that is younger belongs to a later unmap of the same IOVA.
      if (page.window === null || page.window.opened <= mapping.began) this.safety.oblige(page, now, null, true);
      else this.counts.reach('window of a later unmap');
      for (let i = 0; i < 2 ** page.order; i++) this.putFrame(mapping, page.vpn - mapping.page + i);
    }
  }

  /** Without translations the device may use the frames at once. */
  lend(mapping: Mapping): void {
    const frames = Array.from({ length: mapping.pages }, (_, i) => this.frame(mapping, i));
    for (const frame of frames) frame.refs++;
    this.lentAs.set(
      mapping,
      frames.map(({ incarnation }) => incarnation),
    );
  }

  /** Nothing is unmapped, so that the obligation is not met. */
  keep(mapping: Mapping): void {
    this.counts.add('UNMAPPED', mapping.pages);
    this.counts.add('EXPOSED');
  }

  /** dma_unmap returns, having done nothing. */
  takeBack(mapping: Mapping): void {
    mapping.state = 'returned';
    for (let i = 0; i < mapping.pages; i++) this.putFrame(mapping, i);
  }

  /** Whether a frame was handed back for good since it was lent. */
  isFreed(mapping: Mapping, index: number): boolean {
    return this.frame(mapping, index).incarnation !== this.lentAs.get(mapping)![index];
  }

  /** Other mappings of the domain may cover the frame; with the last of them it is handed back. */
  private putFrame(mapping: Mapping, index: number): void {
    const frame = this.frame(mapping, index);
    frame.refs--;
    if (frame.refs === 0) frame.incarnation++;
    else this.counts.reach('frame of another mapping too');
  }

  /** The mapping's own invalidation is complete. */
  covered(mapping: Mapping): void {
    for (const page of this.pagesOf(mapping)) this.uncovered.delete(page);
  }

  /** The number of the last unmap: what a flush that begins now covers. */
  get lastUnmap(): number {
    return this.unmaps;
  }

  /** A flush of a domain is complete. */
  flushed(space: number, lastUnmap: number): void {
    for (const [page, unmap] of this.uncovered)
      if (domainOf(page.vpn) === space && unmap <= lastUnmap) this.uncovered.delete(page);
  }

  /** Leaves by which a mapping is mapped, the largest that address, frame and length allow. */
  private leavesOf({ page, pages, frame }: Mapping): { vpn: number; order: number; index: number }[] {
    const leaves = [];
    for (let index = 0; index < pages; ) {
      const order = this.tables.orderOf(page + index, frame + index, pages - index);
      leaves.push({ vpn: page + index, order, index });
      index += 2 ** order;
    }
    return leaves;
  }

  private pagesOf(mapping: Mapping): Page[] {
    return this.leavesOf(mapping).map(({ vpn, order }) => this.tables.leaf(vpn, order)!);
  }
}
