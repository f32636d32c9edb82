import type { PathName } from '../model/path.ts';
import type { Agent, Turns } from './agent.ts';
import type { Consumers } from './consumers.ts';
import type { Counts } from './counts.ts';
import type { Faults } from './fault.ts';
import type { Frames } from './frame.ts';
import type { Operation } from './operation.ts';
import { EMPTY, type Page } from './page.ts';
import type { Paths } from './path.ts';
import type { Price } from './queue.ts';
import type { Safety } from './safety.ts';

/** What the kernel does to pages one by one on its own account, and what a child of fork leaves. */
export class Work {
  constructor(
    private readonly frames: Frames,
    private readonly paths: Paths,
    private readonly faults: Faults,
    private readonly safety: Safety,
    private readonly consumers: Consumers,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {}

  /** Runs a path for each page of `pages`, in order of address, for which there is something to do. */
  *each(agent: Agent, path: PathName, pages: readonly Page[]): Turns {
    for (const page of pages) yield* this.one(agent, path, page);
  }

  /** migrate_vma: the zero page is replaced, others are moved. */
  *collect(agent: Agent, pages: readonly Page[]): Turns {
    for (const page of pages) yield* this.one(agent, 'migrate_vma', page);
  }

  /** KSM: protects a page and, if nobody has written it since, replaces it. */
  *merge(agent: Agent, pages: readonly Page[]): Turns {
    for (const page of pages) {
      const run = yield* this.one(agent, 'ksm_write_protect', page);
      if (run !== null && !run.lost) yield* this.one(agent, 'ksm_replace', page);
    }
  }

  /** Null if there was nothing to do. */
  private *one(agent: Agent, asked: PathName, page: Page): Turns<Operation | null> {
    const replaces = REPLACES.has(asked);
    const which = (): PathName => (asked === 'migrate_vma' && page.pte.zero ? 'migrate_insert' : asked);
    while (fits(which(), page) && replaces && this.frames.free === 0) {
      this.counts.reach('the kernel waits for a frame');
      yield* this.faults.wait(agent);
    }
    const path = which();
    if (!fits(path, page)) return null;
    const moves = path === 'migrate' || path === 'migrate_vma';
    const installs = { ...(moves ? page.pte : EMPTY), present: true, accessed: true, away: false };
    if (path === 'ksm_replace') installs.merged = true;
    if (path === 'migrate_insert') installs.writable = installs.dirty = !page.readOnly;
    const copied = path === 'numa_migrate' ? { ...page.pte, locked: true } : undefined;
    if (copied !== undefined) {
      page.pte = copied;
      installs.dirty = true;
      installs.writable = !page.readOnly;
    }
    const oldFrame = page.frame!;
    const run = this.paths.begin({ agent, path, page, oldFrame, installs, copied });
    if ((replaces || path === 'hwpoison') && this.frames.callerHolds) this.frames.get(oldFrame);
    if (replaces) {
      this.faults.take(run, page);
      if (path !== 'ksm_replace' && path !== 'numa_migrate') agent.spend('page_copy', this.price('page.copy'));
    }
    yield;
    yield* this.faults.finish(run);
    return run;
  }

  /** The child is gone. */
  reap(agent: Agent): void {
    const now = agent.turn;
    let freed = false;
    for (const frame of this.frames.all) {
      const page = this.frames.unshare(frame);
      if (page === null || !this.frames.release(frame)) continue;
      this.counts.reach('freed by the child');
      this.safety.oblige(page, now, null, this.consumers.reachable(page));
      freed = true;
    }
    if (freed) this.frames.wakeAll(agent, now);
  }
}

/** Paths that put another page in the place of the one that is there. */
const REPLACES = new Set<PathName>([
  'uprobe',
  'ksm_replace',
  'migrate',
  'migrate_vma',
  'migrate_insert',
  'numa_migrate',
]);

/** Whether the path has something to do. Nobody else may refer to what is moved or merged. */
function fits(path: PathName, { pte, kind, frame }: Page): boolean {
  if (!pte.present || pte.locked) return false;
  if (path === 'page_mkclean') return pte.writable && kind === 'shared';
  if (path === 'uprobe') return pte.cached && kind === 'file';
  if (path === 'migrate_insert') return pte.zero;
  if (pte.zero || frame!.refs !== 1) return false;
  if (path === 'numa_migrate' && !(pte.away && kind === 'huge')) return false;
  if (path === 'migrate' || path === 'migrate_vma' || path === 'hwpoison') return true;
  return kind !== 'hugetlb' && !pte.cached && !pte.lazy && !pte.merged && !(path === 'ksm_replace' && pte.writable);
}
