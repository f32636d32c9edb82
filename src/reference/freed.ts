import type { Consumers } from './consumers.ts';
import type { Counts } from './counts.ts';
import type { Operation } from './operation.ts';
import { isMapped, type Table } from './page.ts';

/** Leaf tables that lists take out of the table above and give back. */
export class FreedTables {
  constructor(
    /** Whether walks have leaf tables, and can come to one too late. */
    private readonly any: boolean,
    private readonly consumers: Consumers,
    private readonly counts: Counts,
  ) {}

  /** A leaf table goes with the munmap that clears its last PTE: first out of the table above. */
  unlink(run: Operation): void {
    const unmaps = ['munmap', 'munmap_dirty', 'exit'].includes(run.path) && run.table === null;
    const unshares = run.path === 'hugetlb_unshare';
    if ((!unmaps && !unshares) || !this.any) return;
    const tables = new Set([...run.changed.keys()].map(({ table }) => table));
    const gone = [...tables].filter((table) => (unshares ? isOutOfReach(table) : isGone(table)));
    for (const table of gone) table.link = 'unlinked';
    run.freed = [...run.freed, ...gone];
  }

  free(run: Operation): void {
    for (const table of run.freed) {
      if (table.link !== 'unlinked') continue;
      table.link = 'freed';
      this.counts.reach('table freed');
      for (const { side, queue } of this.consumers.all) {
        if (!side.iommuWalker.knows(table)) continue;
        side.dead.add(table);
        if (queue.reachable) this.counts.add('EXPOSED');
      }
    }
  }
}

function isOutOfReach({ link, pages }: Table): boolean {
  return link === 'linked' && !pages.some(({ pte }) => isMapped(pte));
}

function isGone({ link, pages }: Table): boolean {
  return link === 'linked' && pages.every(({ kind }) => kind === 'gone');
}
