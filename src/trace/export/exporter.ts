import type { Trace } from '../reader.ts';

/** A foreign format that a trace can be written in, with what it has no place for left out and counted. */
export interface Exporter {
  readonly name: string;
  readonly summary: string;
  /** The trace in pieces. Throws UsageError where the format cannot hold it at all. */
  write(trace: Trace, left: LeftOut): Iterable<string | Uint8Array>;
}

/** What an export had no place for. */
export class LeftOut {
  private readonly counts = new Map<string, number>();

  add(what: string, times = 1): void {
    if (times > 0) this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  /** One sentence each. */
  sentences(): string[] {
    return [...this.counts].map(([what, times]) => `${times} x ${what}`);
  }
}

/** Pieces of text are handed on once they are so long. */
export const PIECE = 1 << 16;
