import type { Counts } from './counts.ts';
import type { Frames } from './frame.ts';
import type { Operation } from './operation.ts';
import { EMPTY, type Page, type Pte } from './page.ts';
import type { Price } from './queue.ts';
import type { Safety } from './safety.ts';
import type { Space } from './space.ts';

/** What the steps of a list do to PTEs. */
export class Changes {
  constructor(
    private readonly price: Price,
    private readonly space: Space,
    private readonly frames: Frames,
    private readonly safety: Safety,
    private readonly counts: Counts,
    /** A page's PTE stopped translating. */
    private readonly unmapped: (page: Page) => void,
  ) {}

  /** PC, RR or a state of PS, on the run's page or on every page of this hold. */
  make(run: Operation, what: string): void {
    const { range, table } = run;
    if (range === null) {
      this.changePage(run, what, run.page!);
      return;
    }
    const first = Math.max(range.first, run.from);
    const end = Math.min(range.end, run.rest ?? range.end);
    for (const page of table!.pages.filter(({ vpn }) => vpn >= first && vpn < end)) {
      this.changePage(run, what, page);
      if (what !== 'PC' || run.rest !== null || run.changed.size - run.emptied < run.room) continue;
      run.rest = page.vpn + 1;
      return;
    }
  }

  private changePage(run: Operation, what: string, page: Page): void {
    const { agent } = run;
    if (what === 'PC') {
      this.clear(run, page);
      if (isCall(run) && !page.pte.present) this.safety.meet(page, run);
      return;
    }
    const mine = run.range === null || run.changed.has(page);
    if (what === 'RR') {
      if (!mine) return;
      const frame = run.range === null ? run.oldFrame : page.frame;
      if (frame !== null) frame.owner = null;
      agent.spend('rmap', this.price('rmap.remove'));
      return;
    }
    if (PROTECTS.has(run.path)) page.readOnly = !run.writable;
    if (!mine && what !== 'none' && what !== 'moved') return;
    if (what !== 'none') agent.spend('pte', this.price('pte.set'));
    this.setPte(run, what, page, mine);
  }

  private clear(run: Operation, page: Page): void {
    const { pte } = page;
    if (!pte.present) return;
    // What becomes writable, or is read-only already, is not narrowed; only anonymous pages are MADV_FREEd.
    if (PROTECTS.has(run.path) && (run.writable || !pte.writable)) return;
    if (run.path === 'madv_free' && (pte.zero || pte.cached || pte.shared || pte.merged || page.kind === 'hugetlb'))
      return;
    if (run.range !== null && this.spares(run.path, page)) return;
    if (run.path === 'clear_refs' && !pte.writable) return;
    if (run.path === 'fork') {
      if (pte.zero || pte.cached) return;
      this.frames.share(page.frame!, page);
      this.counts.reach(pte.shared ? 'shared with a child again' : 'shared with a child');
      page.pte = { ...pte, shared: true };
      if (!pte.writable) return;
    }
    this.space.set(page, { ...page.pte, present: false }, page.frame, run.agent.turn);
    run.agent.spend('pte', this.price('pte.clear'));
    this.note(run, page);
    if (run.path === 'thp_collapse') run.copies.set(page, this.frames.alloc(page));
  }

  /** Whether the kernel leaves the page out of what it does to the range. */
  private spares(path: Operation['path'], { pte, kind, frame }: Page): boolean {
    const hugetlb = kind === 'hugetlb';
    switch (path) {
      case 'numa_hint':
        return hugetlb || pte.away || pte.zero || pte.shared;
      case 'thp_split':
        return hugetlb || pte.cached;
      case 'thp_split_file':
        return pte.away || !pte.cached;
      case 'hugetlb_unshare':
        return pte.away;
      case 'thp_collapse': {
        const odd = pte.zero || pte.cached || pte.shared || pte.merged || pte.lazy || pte.mismatched || pte.unused;
        return hugetlb || odd || frame!.refs !== 1 || this.frames.free <= this.frames.low;
      }
      default:
        return false;
    }
  }

  /** The page is one that flushes are for. */
  private note(run: Operation, page: Page): void {
    this.safety.changed(page);
    if (run.range !== null && !UNASKED.has(run.path)) page.asked = true;
    run.changed.set(page, null);
  }

  private setPte(run: Operation, what: string, page: Page, mine: boolean): void {
    const now = run.agent.turn;
    const { pte, frame } = page;
    const set = (next: Readonly<Pte>): void => this.space.set(page, next, frame, now);
    switch (what) {
      case 'swp':
        set({ ...EMPTY, swapped: true, seen: true, busy: true });
        this.unmapped(page);
        return;
      case 'ro':
        set({ ...pte, present: true, writable: false, dirty: pte.dirty && run.path !== 'page_mkclean' });
        return;
      case 'hwp':
        set({ ...EMPTY, seen: true, poisoned: true });
        this.unmapped(page);
        return;
      case 'mig':
        set({ ...EMPTY, busy: true });
        return;
      case 'numa':
      case 'cache':
        set({ ...pte, present: true, away: true });
        return;
      case 'clean':
        set({ ...pte, present: true, lazy: true, accessed: false, dirty: false });
        return;
      case 'old':
        set({ ...pte, present: true, lazy: run.range !== null && pte.lazy });
        return;
      case 'new':
        this.install(run, page, now);
        return;
      case 'none':
        if (run.range === null) {
          // A page of the page cache stays locked until it is gone; a discarded anonymous page can be faulted at once.
          set({ ...EMPTY, seen: pte.cached, busy: pte.cached });
          this.unmapped(page);
          return;
        }
        if (['munmap', 'munmap_dirty', 'exit'].includes(run.path)) page.kind = 'gone';
        if (mine) {
          run.changed.set(page, pte.zero ? null : frame);
          this.unmapped(page);
        } else if (pte.present) return;
        set({ ...EMPTY, busy: pte.busy });
        return;
      default:
        this.move(run, page, mine, now);
    }
  }

  /** What is still the page that was copied is let go. */
  unlock({ page, copied, oldFrame }: Operation): void {
    if (copied !== undefined && page!.frame === oldFrame) page!.pte = { ...page!.pte, locked: false };
  }

  private install(run: Operation, page: Page, now: number): void {
    if (run.range !== null) {
      this.collapse(run, page, now);
      return;
    }
    const mode = run.fault?.mode ?? 'frame';
    if (mode === 'back') {
      this.space.set(page, { ...page.pte, accessed: true, away: false }, page.frame, now);
      if (page.frame !== this.frames.zero) page.frame!.owner = page;
      return;
    }
    if (mode === 'reuse') {
      const pte = { ...page.pte, writable: true, dirty: true, accessed: true, shared: false };
      this.space.set(page, pte, page.frame, now);
      return;
    }
    const frame = mode === 'zero' ? this.frames.zero : run.newFrame!;
    this.space.set(page, run.installs ?? faultedIn(run.fault!), frame, now);
    if (mode === 'frame') frame.owner = page;
    page.user = null;
    run.newFrame = null;
    if (run.path !== 'fault' && run.changed.size === 0) this.note(run, page);
  }

  /** The copy takes the page's place; the gather has the old frame. Without a copy any more the page stays what it was. */
  private collapse(run: Operation, page: Page, now: number): void {
    const old = page.frame;
    const copy = run.copies.get(page);
    run.copies.delete(page);
    const writable = !page.readOnly;
    this.space.set(page, { ...EMPTY, present: true, accessed: true, dirty: true, writable }, copy ?? old, now);
    if (copy !== undefined) run.changed.set(page, old);
  }

  /** What the page was is found at its new address, where nothing is. */
  private move(run: Operation, page: Page, mine: boolean, now: number): void {
    const { pte, frame, kind, readOnly } = page;
    const target = this.space.pageAt(page.vpn - run.range!.first + run.newFirst!);
    this.space.set(page, { ...EMPTY, busy: pte.busy }, frame, now);
    page.kind = 'gone';
    if (target === undefined) {
      if (!mine || pte.zero) return;
      frame!.owner = null;
      run.changed.set(page, frame);
      this.counts.reach('moved to where no access goes');
      return;
    }
    this.counts.reach(mine ? 'page moved' : pte.swapped ? 'swap entry moved' : 'nothing moved');
    if (pte.busy) this.counts.reach('moved while reclaim works on it');
    target.kind = kind;
    target.readOnly = readOnly;
    if (mine) target.user = null;
    this.space.set(target, { ...pte, busy: false, locked: false, present: mine }, mine ? frame : target.frame, now);
    if (mine && !pte.zero) frame!.owner = target;
  }
}

function faultedIn({ mode, write, cached }: NonNullable<Operation['fault']>): Pte {
  const zero = mode === 'zero';
  return { ...EMPTY, present: true, accessed: true, writable: write, dirty: write, cached, zero };
}

/** Paths that change what the program may do. */
const PROTECTS = new Set<Operation['path']>(['mprotect', 'hugetlb_protect']);
/** Whether the program has asked for it, and something is taken away. */
function isCall({ range, path, writable }: Operation): boolean {
  return range !== null && !UNASKED.has(path) && path !== 'hugetlb_unshare' && !writable;
}

/** Paths of a range that the kernel takes on its own account. */
const UNASKED = new Set<Operation['path']>(['numa_hint', 'thp_split', 'thp_split_file', 'thp_collapse']);
