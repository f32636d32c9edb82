import type { Counts } from './counts.ts';
import type { Mapping } from './dma-recording.ts';
import type { Frame } from './frame.ts';
import { EMPTY, type Page } from './page.ts';
import type { Span } from './queue.ts';
import type { Safety } from './safety.ts';
import type { Space } from './space.ts';

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
  private readonly pages = new Map<number, Page>();
  /** By domain and number. `refs`: mappings that cover it. */
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
  ) {}

  /** The page at a page number; it has been handed out. */
  page(vpn: number): Page {
    return this.pages.get(vpn)!;
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

  /** The PTEs are set. S6: the invalidation that an IOVA's last unmap needs must be complete. */
  map(mapping: Mapping, now: number): void {
    for (let i = 0; i < mapping.pages; i++) {
      const vpn = mapping.page + i;
      const page = this.pages.get(vpn) ?? this.space.addPage(vpn, 'gone');
      this.pages.set(vpn, page);
      if (this.uncovered.delete(page)) this.counts.add('S6');
      const frame = this.frame(mapping, i);
      frame.refs++;
      const { writable } = mapping;
      this.space.set(page, { ...EMPTY, present: true, accessed: true, writable, dirty: writable }, frame, now);
      this.counts.add('MAPPED');
    }
  }

  /** The PTEs are cleared. */
  unmap(mapping: Mapping, now: number): void {
    this.unmaps++;
    for (const page of this.pagesOf(mapping)) {
      if (!this.ideal) this.uncovered.set(page, this.unmaps);
      this.space.set(page, EMPTY, null, now);
      this.safety.changed(page);
      this.counts.add('UNMAPPED');
    }
  }

  /** dma_unmap returns: old translations must be unusable by now, and the frames are the driver's again. */
  handBack(mapping: Mapping, now: number): void {
    mapping.state = 'returned';
    for (const [i, page] of this.pagesOf(mapping).entries()) {
      // A window that is younger belongs to a later unmap of the same IOVA.
      if (page.window === null || page.window.opened <= mapping.began) this.safety.oblige(page, now, null, true);
      else this.counts.reach('window of a later unmap');
      this.putFrame(mapping, i);
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

  private pagesOf({ page, pages }: Mapping): Page[] {
    return Array.from({ length: pages }, (_, i) => this.page(page + i));
  }
}
