import { CALLBACKS } from '../model/consumer.ts';
import { MAX_VPN } from '../model/limits.ts';
import { type Machine, widensRanges } from '../model/machine.ts';
import type { MmHalf, Note, Repeat, Step } from '../model/policy.ts';
import type { Turns } from './agent.ts';
import { Changes } from './change.ts';
import type { Consumers, Party } from './consumers.ts';
import type { Counts } from './counts.ts';
import type { Frame, Frames } from './frame.ts';
import { FreedTables } from './freed.ts';
import { Lock } from './lock.ts';
import { accessOf, type MmapLock } from './mmap-lock.ts';
import type { Operation, Start } from './operation.ts';
import { type Page, samePte, type Table } from './page.ts';
import type { Price } from './queue.ts';
import type { Owed, Safety } from './safety.ts';
import type { Shootdown } from './shootdown.ts';
import type { Space } from './space.ts';
import { EVERYTHING, type Span } from './span.ts';

/** Runs the step lists of a policy. */
export class Paths {
  private readonly locks = new Map<Table, Lock>();
  private readonly changes: Changes;
  private readonly tables: FreedTables;

  constructor(
    private readonly mm: MmHalf,
    private readonly machine: Machine,
    private readonly price: Price,
    private readonly space: Space,
    private readonly frames: Frames,
    private readonly safety: Safety,
    private readonly consumers: Consumers,
    private readonly shootdown: Shootdown,
    private readonly ideal: boolean,
    /** Where several CPUs run the program. */
    readonly mmapLock: MmapLock | null,
    private readonly counts: Counts,
    unmapped: (page: Page) => void,
  ) {
    this.changes = new Changes(price, space, frames, safety, counts, unmapped);
    this.tables = new FreedTables(!ideal && machine.iommu.levels > 1, consumers, counts);
  }

  /** A list, begun now; its first step is for the next turn. */
  begin(start: Start): Operation {
    const run: Operation = {
      began: start.agent.clock,
      part: 'body',
      range: null,
      page: null,
      oldFrame: null,
      newFrame: null,
      lost: false,
      changed: new Map(),
      copies: new Map(),
      table: null,
      before: 0,
      emptied: 0,
      rest: null,
      from: 0,
      room: Number.POSITIVE_INFINITY,
      ofGather: false,
      freed: [],
      lock: null,
      hasMmapLock: false,
      pended: false,
      ...start,
    };
    if (run.part === 'body') this.counts.path(run.path).count++;
    this.counts.reach(`path ${run.path}`);
    return run;
  }

  /** The list from its first step to its last. `keep`: mmap_lock is left to the list behind it. */
  *run(run: Operation, keep = false): Turns {
    const access = accessOf(run.path);
    if (this.mmapLock !== null && access !== null && !run.hasMmapLock && !this.mmapLock.take(run.agent, access)) yield;
    for (const item of this.items(run)) {
      if (item.kind === 'repeat') yield* this.holds(run, item);
      else yield* this.item(run, item);
    }
    this.finish(run);
    const sums = this.counts.path(run.path);
    if (run.part === 'body') sums.pages += run.range === null ? 1 : run.changed.size;
    sums.ps += run.agent.clock - run.began;
    if (this.mmapLock !== null && access !== null && !keep) this.mmapLock.give(run.agent);
  }

  private items({ path, part }: Operation): readonly (Step | Note | Repeat)[] {
    if (path === 'fault') return FAULT;
    const { items } = this.mm.paths[path];
    if (!path.startsWith('reclaim_')) return items;
    const [body, ...rest] = items as [Repeat, ...(Step | Note | Repeat)[]];
    if (part === 'body') return body.body;
    if (part === 'middle') return rest.filter((item) => item.kind !== 'repeat');
    return rest.flatMap((item) => (item.kind === 'repeat' ? item.body : []));
  }

  /** The braces of a range: once for every leaf table that it reaches into, and again for what a full gather leaves of it. */
  private *holds(run: Operation, { body }: Repeat): Turns {
    const { first, end } = run.range!;
    run.room = body.some((item) => item.kind === 'step' && item.whenFull) ? this.mm.gather : Number.POSITIVE_INFINITY;
    for (const table of this.space.tablesIn(first, end)) {
      const last = Math.min(end, (table.key + 1) * 512);
      for (let from = first; from < last; from = run.rest ?? last) {
        Object.assign(run, { table, from, rest: null, before: run.changed.size });
        yield* this.hold(run, body);
      }
    }
    run.table = null;
  }

  private *hold(run: Operation, body: Repeat['body']): Turns {
    for (const item of body) {
      run.ofGather = item.kind === 'step' && item.whenFull === true;
      if (!run.ofGather || run.rest !== null) yield* this.item(run, item);
    }
    run.ofGather = false;
    if (run.rest === null) return;
    this.counts.reach('gather full');
    run.emptied = run.changed.size;
  }

  /** One word of a list: of a callback each consumer's, one after the other. */
  private *item(run: Operation, item: Step | Note): Turns {
    const { consumers } = this;
    if (item.kind === 'note') {
      yield* consumers.as(consumers.all[0]!, this.note(run, item));
      return;
    }
    this.counts.reach(`step ${item.word === 'PS' ? `PS(${item.pte})` : item.word}`);
    for (const party of consumers.of(item.word)) yield* consumers.as(party, this.step(run, item, party));
  }

  /** Somebody reads the content: a write that does not get there in time is lost. */
  private *note(run: Operation, { word }: Note): Turns {
    if (!['IO', 'COPY', 'MERGE'].includes(word) || run.lost || run.part === 'middle') return;
    const pages = run.range === null ? [run.page!] : [...run.changed.keys()];
    for (const page of pages) this.safety.oblige(page, run.agent.clock, 'dirty', this.consumers.reachable(page));
    if (run.path === 'thp_collapse' || run.path === 'numa_migrate')
      run.agent.spend('page_copy', this.price('page.copy') * this.pagesOf(run).length);
    this.counts.reach('content read');
    yield* this.endTurn(run);
  }

  private *step(run: Operation, step: Step, party: Party): Turns {
    const { listener } = party;
    if (step.word === 'RE!' && listener.hears('RE!'))
      yield* this.turns(run, step, this.invalidate(run, party, this.rangeOf(run)));
    if (listener.hears(step.word) || step.word === 'RE!') yield* this.turns(run, step, this.perform(run, step, party));
    if ((step.word === 'RS' || step.word === 'REL') && listener.zapsAtStart)
      yield* this.turns(run, step, this.invalidate(run, party, this.rangeOf(run)));
    const list = run.path === 'fault' ? '' : this.mm.paths[run.path].text;
    // A list that does not say what becomes of the PTE leaves nothing of it.
    if (step.word === 'PC' && !list.includes('PS(')) this.change(run, 'none');
  }

  /** A step that takes time ends the turn. Without locks, a lock hold is one turn: nobody may see the inside of it. */
  private *turns(run: Operation, { word }: Step, part: Turns): Turns {
    const began = run.agent.clock;
    yield* part;
    if (this.consumers.all.length > 1 && CALLBACKS.has(word)) this.counts.add('CALLBACK_PS', run.agent.clock - began);
    yield* this.endTurn(run);
  }
  private *endTurn(run: Operation): Turns {
    const { agent } = run;
    if (agent.clock !== agent.turn && !(this.ideal && run.lock !== null)) yield;
  }

  private *perform(run: Operation, { word, pte }: Step, party: Party): Turns {
    const { agent } = run;
    switch (word) {
      case 'RS':
        if (this.ideal) return;
        party.listener.begin(agent, this.rangeOf(run));
        agent.spend('notifier', this.price('notifier.start'));
        return;
      case 'RE':
      case 'RE!':
        if (this.ideal) return;
        party.listener.end(agent);
        agent.spend('notifier', this.price('notifier.end'));
        return;
      case 'LK':
        return yield* this.take(run);
      case 'UL':
        return yield* this.give(run);
      case 'CF':
        return yield* this.flush(run);
      case 'CFq':
        if (!run.lost) this.shootdown.deferred = true;
        return;
      case 'CFp':
        run.pended = this.shootdown.deferred && !this.ideal;
        if (run.pended) yield* this.shootdown.flushDeferred(agent);
        return;
      case 'CFr': {
        const { first, last } = this.rangeOf(run);
        const pages = this.space.tablesIn(first, last + 1).flatMap((table) => table.pages);
        const inside = pages.filter(({ vpn }) => vpn >= first && vpn <= last);
        const size = last - first + 1;
        if (!this.ideal) yield* this.shootdown.flush(agent, inside, size > this.machine.cpu.flushCeiling, size);
        return;
      }
      case 'SIp':
        return yield* this.invalidate(run, party, run.pended ? EVERYTHING : null);
      case 'SI':
      case 'IP':
        return yield* this.invalidate(run, party, this.spanOf(run));
      case 'SI?':
        return yield* this.invalidate(run, party, run.freed.length === 0 ? null : this.spanOf(run));
      case 'SI*':
        return yield* this.invalidate(
          run,
          party,
          this.pagesOf(run).length === 0 && run.path !== 'exit' ? null : EVERYTHING,
        );
      case 'CP': {
        if (run.lost || party.machine.driver.changePte !== 'flush') return;
        const { vpn } = run.page!;
        return yield* this.invalidate(run, party, { first: vpn, last: vpn });
      }
      case 'PP':
        if (run.lost) return;
        this.drop(run);
        if (!this.frames.callerHolds) this.free(run, agent.clock);
        agent.spend('rmap', this.price('page.put'));
        return;
      case 'PPc':
        if (this.frames.callerHolds) this.drop(run);
        agent.spend('rmap', this.price('page.put'));
        // Nobody else gives a frame back that is no longer this list's.
        if (run.lost || run.path === 'reclaim_redirtied') this.free(run);
        return;
      case 'REL':
        party.side.released = true;
        return;
      case 'PTFREE':
        this.tables.unlink(run);
        this.tables.free(run);
        return;
      case 'FREE':
        this.tables.unlink(run);
        this.free(run);
        this.tables.free(run);
        return;
      default:
        this.change(run, word === 'PS' ? pte! : word);
        if (pte === 'cache') this.tables.unlink(run);
    }
  }

  // ---- locks and flushes ----

  private lockOf(run: Operation): Lock {
    const table = run.table ?? run.page!.table;
    const lock = this.locks.get(table) ?? new Lock('page table', 1, this.price('ptl.handoff'), this.counts);
    this.locks.set(table, lock);
    return lock;
  }

  private *take(run: Operation): Turns {
    const lock = this.lockOf(run);
    if (!this.ideal && !lock.take(run.agent)) yield;
    run.lock = lock;
    if (!this.ideal) run.agent.spend('lock', this.price('ptl.acquire'));
    this.look(run);
  }

  private *give(run: Operation): Turns {
    const { lock } = run;
    if (lock === null) return;
    if (!this.ideal) {
      run.agent.spend('lock', this.price('ptl.release'));
      yield;
      lock.give(run.agent);
    }
    run.lock = null;
  }

  /** Under the lock: is the PTE still what made this run begin? */
  private look(run: Operation): void {
    const { page, fault } = run;
    if (run.range !== null || run.changed.size > 0) return;
    const { pte, frame } = page!;
    const sameFrame = pte.present && frame === run.oldFrame;
    if (fault) {
      const same = samePte(pte, fault.found) && (!pte.present || sameFrame);
      run.lost = !same || page!.kind === 'gone' || (fault.write && page!.readOnly);
      // A child may have come since.
      if (fault.mode === 'reuse' && pte.shared && frame!.refs > 1) run.lost = true;
    } else if (run.copied !== undefined) run.lost ||= !sameFrame || !samePte(pte, run.copied);
    else if (run.path === 'reclaim_lazyfree') run.lost = !sameFrame || pte.dirty;
    else run.lost = !sameFrame || (run.path === 'ksm_replace' && pte.writable);
    if (run.lost) this.counts.reach(`lost race: ${run.path}`);
  }

  /** Pages that a flush is for: those of this hold in braces, all outside. */
  private pagesOf(run: Operation): Page[] {
    // What TLBs have of a page that is PROT_NONE is not looked at before its PTE is touched again.
    if (run.copied !== undefined && run.changed.size === 0) return run.lost ? [] : [run.page!];
    return [...run.changed.keys()].slice(run.table === null ? 0 : run.ofGather ? run.emptied : run.before);
  }

  private spanOf(run: Operation): Span | null {
    const vpns = this.pagesOf(run).map((page) => page.vpn);
    return vpns.length === 0 ? null : { first: Math.min(...vpns), last: Math.max(...vpns) };
  }

  /** What range_start and range_end are told, whatever has been found in it. */
  private rangeOf(run: Operation): Span {
    if (run.range === null) {
      const span = run.part === 'middle' ? this.spanOf(run) : null;
      return span ?? { first: run.page!.vpn, last: run.page!.vpn };
    }
    const first = Math.max(run.range.first, run.table === null ? 0 : run.table.key * 512);
    const last = Math.min(run.range.end - 1, run.table === null ? Number.POSITIVE_INFINITY : run.table.key * 512 + 511);
    return { first, last };
  }

  private *invalidate(run: Operation, { machine, listener, queue }: Party, span: Span | null): Turns {
    if (this.ideal || span === null) return;
    this.counts.path(run.path).invalidations++;
    listener.tell(span);
    if (listener.skips(span)) {
      this.counts.add('SECONDARY');
      this.counts.add('SKIPPED');
      return;
    }
    const keeps = run.path === 'madv_free' && machine.hazards.includes('clean-keeps-device-tlb');
    yield* queue.invalidate(run.agent, this.asTold(run, span, machine), keeps ? 'iotlbs' : 'all', run.freed.length > 0);
  }

  /** What a driver makes of the range of /proc/PID/clear_refs: (end - start + 4095) >> 12 of 0..~0 is 0 (intel-svm.c up to 6.5). */
  private asTold(run: Operation, span: Span, machine: Machine): Span {
    const everything = run.path === 'clear_refs' && run.range!.first === 0 && run.range!.end > MAX_VPN;
    const told = everything && span.first === 0 && span.last >= MAX_VPN && span.whole !== true;
    if (!told || machine.iommu.commands === 'amd' || widensRanges(machine)) return span;
    this.counts.reach('range of everything overflows');
    return { ...span, overflows: true };
  }

  /** The CPU flushes its own TLB; others ask it by IPI. */
  private *flush(run: Operation): Turns {
    const { agent } = run;
    this.tables.unlink(run);
    const pages = this.pagesOf(run);
    if (this.ideal || pages.length === 0) return;
    const full = run.part === 'middle' || pages.length > this.machine.cpu.flushCeiling;
    yield* this.shootdown.flush(agent, pages, full);
  }

  // ---- references ----

  private drop(run: Operation): void {
    if (run.oldFrame !== null) this.frames.put(run.oldFrame);
  }

  /** Gives back what has no references left: the run's frame, or what a range has gathered. */
  private free(run: Operation, now = run.agent.turn): void {
    const { agent } = run;
    let freed = 0;
    const release = (page: Page, frame: Frame): void => {
      if (!this.frames.release(frame)) return;
      this.safety.oblige(page, now, null, this.consumers.reachable(page));
      freed++;
    };
    if (run.range === null && run.oldFrame !== null) release(run.page!, run.oldFrame);
    if (run.range !== null) {
      for (const [page, old] of run.changed) {
        // Given back before its time is the copy.
        const frame = old ?? run.copies.get(page) ?? null;
        run.copies.delete(page);
        if (frame === null) continue;
        run.changed.set(page, null);
        this.frames.put(frame);
        release(page, frame);
      }
    }
    if (freed === 0) return;
    this.frames.wakeAll(agent, now);
    agent.spend('free', this.price('page.free') * freed);
  }

  /** What goes to swap has been written out: what a device writes from now on would be lost. */
  writtenOut(page: Page, now: number): void {
    this.safety.oblige(page, now, 'dirty', this.consumers.reachable(page));
  }

  private finish(run: Operation): void {
    const now = run.agent.clock;
    if (run.path === 'mremap') this.free(run);
    if (run.range !== null) {
      for (const page of run.changed.keys()) {
        page.asked = false;
        const owes = OWES[run.path] ?? null;
        if (owes !== null || !page.pte.present) this.safety.oblige(page, now, owes, this.consumers.reachable(page));
      }
      const { first, end } = run.range;
      for (const page of this.space.tablesIn(first, end).flatMap(({ pages }) => pages))
        if (page.vpn >= first && page.vpn < end)
          this.safety.settle(page, run, OWES[run.path] ?? null, now, () => this.consumers.reachable(page));
    } else if (!run.lost && OWES[run.path] !== undefined)
      this.safety.oblige(run.page!, now, OWES[run.path]!, this.consumers.reachable(run.page!));
    this.discard(run, now);
    // Whoever has faulted on the migration entry, or the page that is copied, looks again.
    this.changes.unlock(run);
    if (AWAITED.has(run.path)) this.frames.wakeAll(run.agent, now);
  }

  /** Somebody else was faster: what was brought is not needed. */
  private discard(run: Operation, now: number): void {
    if (run.newFrame === null) return;
    this.counts.reach(run.fault ? 'fault for nothing' : 'copy for nothing');
    this.frames.put(run.newFrame);
    this.frames.release(run.newFrame);
    run.newFrame = null;
    this.frames.wakeAll(run.agent, now);
  }

  /** A step on PTEs, unless somebody was faster. */
  private change(run: Operation, what: string): void {
    if (what === 'new' && run.path === 'fault') this.look(run);
    if (!run.lost) this.changes.make(run, what);
  }
}

/** Paths that whoever faults on their pages waits for. */
const AWAITED = new Set<string>(['migrate', 'migrate_vma', 'thp_collapse', 'numa_migrate']);

/** Paths after which the page is the same, with less allowed. */
const OWES: Readonly<Partial<Record<Operation['path'], Owed>>> = {
  mprotect: 'permission',
  hugetlb_protect: 'permission',
  fork: 'permission',
  madv_free: 'dirty',
  clear_refs: 'dirty',
  page_mkclean: 'dirty',
  ksm_write_protect: 'dirty',
};

const FAULT: readonly Step[] = [
  { kind: 'step', word: 'LK', pte: null, at: 1 },
  { kind: 'step', word: 'PS', pte: 'new', at: 2 },
  { kind: 'step', word: 'UL', pte: null, at: 3 },
];
