import type { PathName } from '../model/path.ts';
import type { Agent } from './agent.ts';
import type { Frame } from './frame.ts';
import type { Lock } from './lock.ts';
import type { Page, Pte, Table } from './page.ts';

/** A list of steps being run: by a CPU, by reclaim, by the handler of a device's fault. */
export interface Operation {
  readonly agent: Agent;
  /** `fault`: installs a PTE, invalidates nothing. */
  readonly path: PathName | 'fault';
  readonly began: number;
  readonly part: 'body' | 'middle' | 'tail';
  /** Where the program asked for it: the range, half-open. */
  readonly range: { readonly first: number; readonly end: number } | null;
  /** Of one page, or the first of a batch. */
  readonly page: Page | null;
  /** The new place of a range that moves, what the protection becomes. */
  readonly newFirst?: number;
  readonly writable?: boolean;
  /** Of a fault: what it installs, and the PTE that it found. */
  readonly fault?: {
    readonly mode: 'frame' | 'zero' | 'reuse' | 'back';
    readonly write: boolean;
    readonly cached: boolean;
    readonly found: Pte;
  };
  /** What PS(new) installs on the kernel's own account; of a fault it follows from the fault. */
  readonly installs?: Pte;
  /** Of a page that is copied before its PTE is touched: the PTE that it was copied under. */
  readonly copied?: Pte | undefined;
  readonly oldFrame: Frame | null;
  newFrame: Frame | null;
  /** The PTE is no longer what it was: only references are put. */
  lost: boolean;
  /** Pages changed so far, each with the frame that the gather has of it. */
  readonly changed: Map<Page, Frame | null>;
  /** Of a collapse: where the copies of pages go. */
  readonly copies: Map<Page, Frame>;
  /** The table of this hold while inside the braces of a range, and how many pages were changed before it. */
  table: Table | null;
  before: number;
  /** Page numbers of this hold: those before are done, and if the gather is full, those from `rest` on are left to the next. */
  from: number;
  rest: number | null;
  /** How many of the changed have left the gather. */
  emptied: number;
  /** The gather's room, where the list has steps for a full one. */
  room: number;
  /** The step in hand is of all that is in the gather. */
  ofGather: boolean;
  lock: Lock | null;
  /** Its last CFp has found something to flush. */
  pended: boolean;
  /** Leaf tables that it frees. */
  freed: readonly Table[];
  /** A list before it has taken mmap_lock. */
  readonly hasMmapLock: boolean;
}

/** What tells one run from the others; the rest begins empty. */
export type Start = Pick<Operation, 'agent' | 'path'> & Partial<Operation>;
