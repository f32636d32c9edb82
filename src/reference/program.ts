import type { Run, TraceEvent } from '../model/trace.ts';
import type { Kind } from './page.ts';

/** A page, from the chunk of its first use on. */
export interface ProgramPage {
  readonly vpn: number;
  readonly kind: Exclude<Kind, 'gone'>;
}

/** Work for the device, posted once `after` records of its piece are done. */
export interface ProgramPost {
  readonly after: number;
  readonly page: number;
  readonly write: boolean;
}

/** What one CPU has to do in a chunk. No run goes on in its next piece. */
export interface ProgramPiece {
  readonly cpu: number;
  readonly records: readonly (Run | TraceEvent)[];
  readonly posts: readonly ProgramPost[];
}

/** A part of a program. */
export interface ProgramChunk {
  readonly pages: readonly ProgramPage[];
  readonly pieces: readonly ProgramPiece[];
}

/** What the CPUs of one address space do. */
export interface Program {
  readonly chunks: readonly ProgramChunk[];
  /** Of the whole program. */
  readonly pages: number;
  /** There are no fetches, so that data accesses take time. */
  readonly dataOnly: boolean;
}

/** Hands the pieces out: a CPU that has none left makes the next chunk be read, and its pages known. */
export class ProgramReader {
  private readonly queues = new Map<number, ProgramPiece[]>();
  private read = 0;

  constructor(
    private readonly program: Program,
    private readonly addPage: (page: ProgramPage) => void,
  ) {}

  next(cpu: number): ProgramPiece | undefined {
    while (this.queueOf(cpu).length === 0 && this.read < this.program.chunks.length) {
      const { pages, pieces } = this.program.chunks[this.read++]!;
      pages.forEach(this.addPage);
      for (const piece of pieces) this.queueOf(piece.cpu).push(piece);
    }
    return this.queueOf(cpu).shift();
  }

  private queueOf(cpu: number): ProgramPiece[] {
    const queue = this.queues.get(cpu) ?? [];
    this.queues.set(cpu, queue);
    return queue;
  }
}
