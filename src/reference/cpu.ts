import { MAX_VPN } from '../model/limits.ts';
import type { PathName } from '../model/path.ts';
import { ADVICE, MAP_FLAG, PROT, type Run, type TraceEvent } from '../model/trace.ts';
import type { Agent, Turns } from './agent.ts';
import type { Consumers } from './consumers.ts';
import type { Counts } from './counts.ts';
import type { Faults } from './fault.ts';
import type { Start } from './operation.ts';
import { EMPTY, isMapped, type Kind, type Page, samePte } from './page.ts';
import type { Paths } from './path.ts';
import type { ProgramPiece, ProgramReader } from './program.ts';
import type { Price } from './queue.ts';
import type { Recent } from './recent.ts';
import type { Safety } from './safety.ts';
import { type CpuTlbs, copyOf, isStale, type Space, type Tlb } from './space.ts';
import type { Work } from './work.ts';

type RunKind = 'fetch' | 'data';

/** A look-up that did not hit in the TLBs. */
interface Miss {
  readonly kind: RunKind;
  readonly page: Page;
  readonly write: boolean;
}

/** One CPU and its program, access by access. */
export class Cpu {
  private piece: ProgramPiece = { cpu: 0, records: [], posts: [] };
  private base = 0;
  /** Records executed at its last step that others can see. */
  private seen = 0;
  /** Record in hand, how many accesses of it are done, and whether its first has been looked up. */
  private cursor = 0;
  private done = 0;
  private begun = false;
  private posted = 0;
  private readonly open = new Map<RunKind, { readonly page: Page; readonly write: boolean }>();
  /** Open runs that are looked up before their next access. */
  private readonly again = new Set<RunKind>();
  /** Open runs whose next access has been looked up already. */
  private readonly looked = new Set<RunKind>();
  /** Kinds of run whose miss has been counted and is not over. */
  private readonly missing = new Set<RunKind>();
  private miss: Miss | null = null;
  /** The miss in hand has its translation. */
  private granted = false;
  private readonly fetchPs: number;
  private readonly dataPs: number;

  constructor(
    readonly agent: Agent,
    private readonly tlbs: CpuTlbs,
    private readonly reader: ProgramReader,
    dataOnly: boolean,
    private readonly space: Space,
    private readonly paths: Paths,
    private readonly faults: Faults,
    private readonly work: Work,
    private readonly recent: Recent,
    /** Hands work to a device. */
    private readonly hand: (page: Page, write: boolean, from: Agent) => void,
    private readonly safety: Safety,
    private readonly consumers: Consumers,
    private readonly price: Price,
    private readonly hasDevice: boolean,
    /** Until when nobody else can change what hits depend on. */
    private readonly horizon: () => number,
    private readonly counts: Counts,
  ) {
    this.fetchPs = price('cpu.fetch');
    this.dataPs = dataOnly ? price('cpu.access') : 0;
  }

  *life(): Turns {
    const { agent } = this;
    for (let piece = this.reader.next(agent.id); piece !== undefined; piece = this.reader.next(agent.id)) {
      this.enter(piece);
      while (true) {
        const shared = this.runPrivate(this.horizon());
        if (!shared || agent.clock !== agent.turn) {
          yield;
          continue;
        }
        const post = this.post;
        if (post === undefined && this.cursor === piece.records.length) break;
        this.recent.record += this.base + this.cursor - this.seen;
        this.seen = this.base + this.cursor;
        const record = piece.records[this.cursor];
        if (post !== undefined) {
          this.posted++;
          if (this.hasDevice) this.hand(this.space.pages[post.page]!, post.write, agent);
          yield;
        } else if (record !== undefined && 'fields' in record) {
          this.open.clear();
          this.again.clear();
          this.looked.clear();
          yield* this.event(record);
          this.cursor++;
          yield;
        } else yield* this.translate(this.miss!);
      }
    }
    agent.state = 'done';
  }

  private enter(piece: ProgramPiece): void {
    this.base += this.piece.records.length;
    this.piece = piece;
    this.cursor = this.posted = 0;
    this.open.clear();
    this.again.clear();
    this.looked.clear();
  }

  /** The post that is due before the record in hand. */
  private get post(): ProgramPiece['posts'][number] | undefined {
    const post = this.piece.posts[this.posted];
    return post !== undefined && post.after < this.cursor ? post : undefined;
  }

  // ---- accesses ----

  /** Accesses that hit, while the clock is below the limit. True: what comes next is shared. */
  private runPrivate(limit: number): boolean {
    while (true) {
      if (this.tlbs.stirred) {
        this.tlbs.stirred = false;
        for (const kind of this.open.keys()) this.again.add(kind);
      }
      if (this.granted && this.begun) {
        this.again.delete(this.miss!.kind);
        this.looked.add(this.miss!.kind);
        this.useGrant();
      }
      const record = this.piece.records[this.cursor];
      if (record === undefined || this.post !== undefined || 'fields' in record) return true;
      if (this.agent.clock >= limit) return false;
      if (!this.runRecord(record, limit)) return true;
    }
  }

  /** Goes on with a record. False: an access needs a shared step first. */
  private runRecord({ op, page: id, fetches, datas }: Run, limit: number): boolean {
    const { agent } = this;
    const page = this.space.pages[id]!;
    const n = fetches + datas;
    const length = fetches * this.fetchPs + datas * this.dataPs;
    if (!this.begun) {
      const kind = op === 'fetch' ? 'fetch' : 'data';
      const write = op === 'write';
      if (!this.hits({ kind, page, write })) return false;
      this.begun = true;
      page.touched = true;
      this.open.set(kind, { page, write });
      this.again.delete(kind);
      this.looked.add(kind);
    }
    // Access k of n stands at floor(k * length / n) after the first, and floor(k * fetches / n) fetches come before it.
    const time = (k: number): number => Math.floor((k * length) / n);
    const fetched = (k: number): number => Math.floor((k * fetches) / n);
    do {
      const kind = fetched(this.done + 1) > fetched(this.done) ? 'fetch' : 'data';
      if (this.again.has(kind)) {
        if (!this.hits({ kind, ...this.open.get(kind)! })) return false;
        this.again.delete(kind);
        this.looked.add(kind);
        this.counts.reach('open run looked up again');
      }
      if (!this.looked.delete(kind)) this.first(kind).useAgain(this.open.get(kind)!.page);
      this.counts.add('COMPUTE');
      agent.spend('compute', time(this.done + 1) - time(this.done));
      this.done++;
    } while (this.done < n && agent.clock < limit);
    if (this.done < n) {
      this.counts.reach('run cut');
      return true;
    }
    this.cursor++;
    this.done = 0;
    this.begun = false;
    return true;
  }

  private first(kind: RunKind): Tlb {
    return kind === 'fetch' ? this.tlbs.l1i : this.tlbs.l1d;
  }

  private useGrant(): void {
    this.granted = false;
    this.missing.delete(this.miss!.kind);
  }

  /** Looks a page up in the TLBs. False: it takes a shared step. */
  private hits(miss: Miss): boolean {
    const { kind, page, write } = miss;
    if (this.granted) {
      this.useGrant();
      return true;
    }
    const first = this.first(kind);
    if (usable(first, page, write)) {
      this.missing.delete(kind);
      return true;
    }
    if (!this.missing.has(kind)) this.counts.add(kind === 'fetch' ? 'L1I_MISS' : 'L1D_MISS');
    if (first.peek(page) === undefined && usable(this.tlbs.l2, page, write)) {
      this.counts.add('L2_HIT');
      this.space.fillCpu(first, this.tlbs.l2.peek(page)!, this.agent.clock);
      this.agent.spend('l2', this.price('cpu.l2_hit'));
      this.missing.delete(kind);
      return true;
    }
    this.missing.add(kind);
    this.miss = miss;
    return false;
  }

  /** The shared half of a translation: a stale entry that hardware would use, a walk, or a fault. */
  private *translate({ kind, page, write }: Miss): Turns {
    const { agent, space, tlbs } = this;
    const first = this.first(kind);
    const old = [first.peek(page), tlbs.l2.peek(page)].find((copy) => copy && isStale(copy) && (!write || copy.writes));
    if (old) {
      this.counts.add('CPU_STALE');
      if (space.isLate(page, write)) this.counts.add('CPU_LATE');
      this.granted = true;
      yield;
      return;
    }
    const { pte } = page;
    if (!isMapped(pte) || (write && !pte.writable)) {
      // The program knows better what it may write than the mappings that its recording shows.
      if (write) page.readOnly = false;
      if (yield* this.faults.handle(agent, page, write)) yield;
      return;
    }
    this.counts.add('L2_MISS');
    const upper = tlbs.walker.walk(page.table);
    agent.spend('walk', this.price('cpu.walk_ref_leaf') + this.price('cpu.walk_ref_upper') * upper);
    const next = { ...pte, accessed: true, dirty: pte.dirty || write };
    if (!samePte(next, pte) || next.dirty !== pte.dirty || !pte.accessed) space.set(page, next, page.frame, agent.turn);
    this.safety.used(page, agent, agent.turn, this.consumers.reachable(page));
    const copy = copyOf(page);
    space.fillCpu(tlbs.l2, copy, agent.turn);
    space.fillCpu(first, copy, agent.turn);
    this.granted = true;
    yield;
  }

  // ---- events ----

  /** A change of the address space, from the call to the return. */
  private *event(event: TraceEvent): Turns {
    const { agent } = this;
    const [, first = 0, end = 0, third = 0, fourth = 0] = event.fields;
    const enter = (): void => {
      this.counts.reach(`event ${event.op}`);
      agent.spend('syscall', this.price('syscall.entry'));
    };
    switch (event.op) {
      case 'mmap': {
        if (end <= first) return;
        enter();
        return yield* this.map(first, end, kindOf(fourth));
      }
      case 'brk':
        if (end === first) return;
        enter();
        if (end > first) return yield* this.map(first, end, 'anonymous');
        return yield* this.list('munmap', end, first);
      case 'munmap':
        if (end <= first) return;
        enter();
        return yield* this.list('munmap', first, end);
      case 'mprotect':
        if (end <= first) return;
        enter();
        return yield* this.list('mprotect', first, end, { writable: (third & PROT.write) !== 0 });
      case 'madvise':
        if (end <= first) return;
        enter();
        return yield* this.list(third === ADVICE.free ? 'madv_free' : 'dontneed', first, end);
      case 'mremap': {
        const newEnd = third + end - first;
        // The kernel refuses a new place that overlaps the old one; the same place is no move.
        if (end <= first || (third < end && first < newEnd)) return;
        enter();
        const something = this.occupied(third, newEnd);
        if (something) this.counts.reach('mremap over something');
        // What another CPU may have used there meanwhile is seen under mmap_lock only.
        const hasMmapLock = this.paths.mmapLock !== null;
        if (something || hasMmapLock) yield* this.list('munmap', third, newEnd, {}, true);
        this.become(third, newEnd, 'gone');
        return yield* this.list('mremap', first, end, { newFirst: third, hasMmapLock });
      }
      case 'fork':
        if (end <= first) return;
        this.work.reap(agent);
        enter();
        return yield* this.list('fork', first, end);
      case 'reap':
        this.counts.reach('event reap');
        return this.work.reap(agent);
      case 'clearRefs':
        if (end <= first) return;
        enter();
        return yield* this.list('clear_refs', first, end);
      case 'numaHint':
        if (end <= first) return;
        enter();
        return yield* this.list('numa_hint', first, end);
      case 'split':
        if (end <= first) return;
        enter();
        return yield* this.list('thp_split', first, end);
      case 'collapse':
        if (end <= first) return;
        enter();
        return yield* this.list('thp_collapse', first, end);
      case 'unshare':
        if (end <= first) return;
        enter();
        return yield* this.list('hugetlb_unshare', first, end);
      case 'exit':
        enter();
        return yield* this.list('exit', 0, MAX_VPN + 1);
      case 'migrateVma':
        if (end <= first) return;
        enter();
        return yield* this.work.collect(agent, this.inOrder(first, end));
      case 'numaMigrate':
      case 'writeback':
      case 'uprobe':
      case 'migrate':
      case 'poison':
        if (end <= first) return;
        enter();
        return yield* this.work.each(agent, PER_PAGE[event.op], this.inOrder(first, end));
      case 'mismatch':
      case 'unused': {
        const mark = event.op === 'unused' ? { unused: true } : { mismatched: true };
        for (const page of this.pagesIn(first, end)) {
          const { present, zero, cached } = page.pte;
          if (present && !zero && !cached) page.pte = { ...page.pte, ...mark };
        }
        this.counts.reach(`event ${event.op}`);
        return;
      }
      case 'merge':
        if (end <= first) return;
        enter();
        return yield* this.work.merge(agent, this.inOrder(first, end));
      default:
        return;
    }
  }

  private *list(
    path: PathName,
    first: number,
    end: number,
    rest: Pick<Start, 'newFirst' | 'writable' | 'hasMmapLock'> = {},
    keep = false,
  ): Turns {
    const pages = this.pagesIn(first, end);
    let which = path;
    if (path === 'munmap' && pages.some(isDirtyFile)) which = 'munmap_dirty';
    if (path === 'mprotect' && pages.some(({ kind }) => kind === 'hugetlb')) which = 'hugetlb_protect';
    if (path === 'thp_split' && pages.some(({ pte }) => pte.present && pte.cached)) which = 'thp_split_file';
    const run = this.paths.begin({ agent: this.agent, path: which, range: { first, end }, ...rest });
    yield;
    yield* this.faults.finish(run, keep);
  }

  private inOrder(first: number, end: number): Page[] {
    return this.pagesIn(first, end).sort((a, b) => a.vpn - b.vpn);
  }

  private pagesIn(first: number, end: number): Page[] {
    return this.space.pages.filter(({ vpn }) => vpn >= first && vpn < end);
  }

  /** Whether a page of the range has a PTE. */
  private occupied(first: number, end: number): boolean {
    const keys = Object.keys(EMPTY) as (keyof typeof EMPTY)[];
    return this.pagesIn(first, end).some(({ pte }) => keys.some((key) => pte[key]));
  }

  /** A mapping takes the place of what is there. */
  private *map(first: number, end: number, kind: Kind): Turns {
    if (this.occupied(first, end)) {
      this.counts.reach('mmap over something');
      yield* this.list('munmap', first, end);
    }
    this.become(first, end, kind);
  }

  private become(first: number, end: number, kind: Kind): void {
    for (const page of this.pagesIn(first, end)) {
      page.kind = kind;
      page.readOnly = false;
    }
  }
}

function kindOf(flags: number): Kind {
  if ((flags & MAP_FLAG.hugetlb) !== 0) return 'hugetlb';
  if ((flags & MAP_FLAG.file) !== 0) return (flags & MAP_FLAG.shared) !== 0 ? 'shared' : 'file';
  return (flags & MAP_FLAG.huge) !== 0 ? 'huge' : 'anonymous';
}

/** Whether the kernel flushes before it drops the lock when it unmaps the page. */
function isDirtyFile({ pte }: Page): boolean {
  return pte.present && pte.cached && pte.dirty;
}

/** Events that run one path page by page. */
const PER_PAGE = {
  writeback: 'page_mkclean',
  uprobe: 'uprobe',
  migrate: 'migrate',
  poison: 'hwpoison',
  numaMigrate: 'numa_migrate',
} as const;

/** Whether the TLB has a translation that allows the access, the most recent one then. */
function usable(tlb: Tlb, page: Page, write: boolean): boolean {
  const copy = tlb.peek(page);
  if (copy === undefined || isStale(copy) || (write && !copy.writes)) return false;
  tlb.use(copy);
  return true;
}
