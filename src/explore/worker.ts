import { type Reply, replyOf } from '../jobs/reply.ts';
import { Interrupted } from '../model/errors.ts';
import type { Exploration } from '../model/exploration.ts';
import { engineModule } from '../trace/module.ts';
import { type Cell, exploreCell } from './explore.ts';

/** What a worker is sent. `shared`: i32[2], the second not 0 once the work is to stop. */
export interface CellTask {
  readonly cell: Cell;
  readonly shared: SharedArrayBuffer;
}

/** Piscina's task: one cell of the matrix. */
export default function explore({ cell, shared }: CellTask): Reply<Exploration> {
  const words = new Int32Array(shared);
  const stop = (): boolean => Atomics.load(words, 1) !== 0;
  return replyOf(() => {
    // A small search is over before it asks.
    const exploration = stop() ? null : exploreCell(cell, engineModule(), stop);
    if (exploration === null) throw new Interrupted('interrupted');
    return exploration;
  });
}
