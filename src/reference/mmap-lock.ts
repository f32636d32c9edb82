import type { PathName } from '../model/path.ts';
import type { Agent } from './agent.ts';
import type { Counts } from './counts.ts';

/** Faults and advice share it; changes of mappings have it alone. */
export type Access = 'read' | 'write';

/** mmap_lock of the address space: first come, first served, a waiting writer before readers that come later. */
export class MmapLock {
  private readonly owners = new Map<Agent, Access>();
  private readonly waiters: { readonly agent: Agent; readonly access: Access }[] = [];
  private known: number[] = [];

  constructor(
    private readonly handoffPs: number,
    private readonly counts: Counts,
  ) {}

  /** Takes it; or blocks, and the agent has it when it wakes. */
  take(agent: Agent, access: Access): boolean {
    if (this.waiters.length === 0 && this.grants(access)) {
      this.own(agent, access);
      return true;
    }
    this.counts.reach(`wait to ${access} under mmap_lock`);
    this.counts.add('LOCK_WAITS');
    this.waiters.push({ agent, access });
    agent.block('lock_wait');
    return false;
  }

  give(agent: Agent): void {
    if (!this.owners.delete(agent)) throw new Error(`agent ${agent.id} gives mmap_lock up and does not have it`);
    const told = agent.tell();
    this.known = told.map((epoch, other) => Math.max(epoch, this.known[other] ?? 0));
    while (this.waiters.length > 0 && this.grants(this.waiters[0]!.access)) {
      const { agent: next, access } = this.waiters.shift()!;
      this.counts.add('MMAP_WAIT_PS', next.wake(agent.clock));
      next.spend('lock_wait', this.handoffPs);
      this.own(next, access);
    }
  }

  private grants(access: Access): boolean {
    const held = [...this.owners.values()];
    return access === 'read' ? !held.includes('write') : held.length === 0;
  }

  private own(agent: Agent, access: Access): void {
    this.owners.set(agent, access);
    agent.hear(this.known);
  }
}

/** How a list has mmap_lock: who comes by rmap does without, changes of mappings have it alone. */
export function accessOf(path: PathName | 'fault'): Access | null {
  if (path.startsWith('reclaim_') || BY_RMAP.has(path)) return null;
  return ALONE.has(path) ? 'write' : 'read';
}
const BY_RMAP = new Set<string>(['page_mkclean', 'migrate', 'hwpoison', 'thp_split', 'thp_split_file']);
const ALONE = new Set<string>([
  'munmap',
  'munmap_dirty',
  'mprotect',
  'mremap',
  'fork',
  'clear_refs',
  'uprobe',
  'thp_collapse',
  'hugetlb_protect',
  'hugetlb_unshare',
  'exit',
]);
