import { TraceError } from '../../model/errors.ts';
import type { ImportTally } from '../../model/trace.ts';
import type { Input } from '../input.ts';
import type { Provenance, TraceWriter } from '../writer.ts';

/** A foreign format: found by content, read in one stream, nothing dropped in silence. One file per format. */
export interface Importer {
  readonly name: string;
  readonly summary: string;
  /** Where the format is described. */
  readonly source: string;
  /** Whether the first 64 KiB look like this format. Cheap, never throws. */
  sniff(head: Uint8Array): boolean;
  /** Streams `input` into `out`. Throws TraceError with `file:line` on what cannot be read. */
  read(input: Input, out: TraceWriter, options: ImportOptions): Promise<Imported>;
}

/** What an importer knows when it is done. `source` only where the input itself names an older one. */
export type Imported = Omit<Provenance, 'source'> & Partial<Pick<Provenance, 'source'>>;

/** What every importer is told. */
export interface ImportOptions {
  /** Fail at the first line that is not understood, instead of above `MAX_REJECTED`. */
  readonly strict: boolean;
}

/** Share of lines that may be rejected before an import fails. */
export const MAX_REJECTED = 0.01;

/** Counts lines by fate; every line has exactly one. */
export class Tally {
  lines = 0;
  accepted = 0;
  rejected = 0;
  private ignored = 0;
  private firstRejected = '';
  private readonly rules = new Map<string, number>();

  constructor(
    private readonly file: string,
    private readonly strict: boolean,
  ) {}

  ignore(rule: string): void {
    this.ignored++;
    this.rules.set(rule, (this.rules.get(rule) ?? 0) + 1);
  }

  /** `line` counts from 1. */
  reject(line: number, text: string, expected: string): void {
    const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
    if (this.strict) throw new TraceError(`${this.file}:${line}`, `${shown} is not ${expected}`);
    if (this.rejected++ === 0) this.firstRejected = `line ${line}: ${shown} is not ${expected}`;
  }

  /** The result, or an error if too much was rejected or nothing was read. */
  finish(): ImportTally {
    if (this.rejected > this.lines * MAX_REJECTED) {
      const share = ((this.rejected / this.lines) * 100).toFixed(1);
      throw new TraceError(
        this.file,
        `${this.rejected} of ${this.lines} lines (${share} %) were not understood; first, ${this.firstRejected}`,
      );
    }
    if (this.accepted === 0) throw new TraceError(this.file, 'holds no record');
    const { lines, accepted, rejected, ignored } = this;
    return { lines, accepted, rejected, ignored, rules: Object.fromEntries(this.rules) };
  }
}
