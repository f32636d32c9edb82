import type { Run, TraceEvent } from '../model/trace.ts';
import type { Kind } from './page.ts';

/** A page, from the chunk of its first use on. */
export interface ProgramPage {
  readonly vpn: number;
  readonly kind: Exclude<Kind, 'gone'>;
}

/** Work for the device, posted once `after` records of its chunk are done. */
export interface ProgramPost {
  readonly after: number;
  readonly page: number;
  readonly write: boolean;
}

/** A part of a program. No run goes on in the next one. */
export interface ProgramChunk {
  readonly pages: readonly ProgramPage[];
  readonly records: readonly (Run | TraceEvent)[];
  readonly posts: readonly ProgramPost[];
}

/** What one CPU does in one address space. */
export interface Program {
  readonly chunks: readonly ProgramChunk[];
  /** Of the whole program. */
  readonly pages: number;
  /** There are no fetches, so that data accesses take time. */
  readonly dataOnly: boolean;
}
