import { engineModule } from '../jobs/module.ts';
import { Interrupted, UsageError } from '../model/errors.ts';
import type { Exploration } from '../model/exploration.ts';
import { type Cell, exploreCell } from './explore.ts';

/** What a worker is sent. `shared`: i32[1], not 0 once the work is to stop. */
export interface CellTask {
  readonly cell: Cell;
  readonly shared: SharedArrayBuffer;
}

/** What comes back. Errors travel as data: an Error that crosses threads loses its class. */
export type CellReply =
  | { readonly ok: true; readonly exploration: Exploration }
  | { readonly ok: false; readonly kind: 'usage' | 'interrupted' | 'bug'; readonly message: string };

/** Piscina's task: one cell of the matrix. */
export default function explore({ cell, shared }: CellTask): CellReply {
  const words = new Int32Array(shared);
  const stop = (): boolean => Atomics.load(words, 0) !== 0;
  try {
    // A small search is over before it asks.
    const exploration = stop() ? null : exploreCell(cell, engineModule(), stop);
    if (exploration === null) throw new Interrupted('interrupted');
    return { ok: true, exploration };
  } catch (error) {
    const { message, stack } = error as Error;
    if (error instanceof UsageError) return { ok: false, kind: 'usage', message };
    if (error instanceof Interrupted) return { ok: false, kind: 'interrupted', message };
    return { ok: false, kind: 'bug', message: stack ?? message };
  }
}
