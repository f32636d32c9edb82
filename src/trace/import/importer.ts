import { TraceError, UsageError } from '../../model/errors.ts';
import type { ImportTally, Rejection } from '../../model/trace.ts';
import type { Input } from '../input.ts';
import { eachLine } from '../lines.ts';
import type { Provenance, TraceWriter } from '../writer.ts';

/** A foreign format: found by content, read in one stream, nothing dropped in silence. One file per format. */
export interface Importer {
  readonly name: string;
  readonly summary: string;
  /** Where the format is described. */
  readonly source: string;
  /** A recording may be a folder of files, one per thread. */
  readonly folders?: boolean;
  /** Whether the first 64 KiB look like this format. Cheap, never throws. */
  sniff(head: Uint8Array): boolean;
  /** Streams `input` into `out`. Throws TraceError with `file:line` on what cannot be read. */
  read(input: Input, out: TraceWriter, options: ImportOptions): Promise<Imported>;
}

/** What an importer knows when it is done. `source` only where the input itself names an older one. */
export type Imported = Omit<Provenance, 'source'> & Partial<Pick<Provenance, 'source'>>;

/** What every importer is told. */
export interface ImportOptions {
  /** Fail at the first line that is not understood, instead of above `maxRejected`. */
  readonly strict: boolean;
  /** Share of lines that may be rejected before an import fails; `MAX_REJECTED` unless given. */
  readonly maxRejected?: number | undefined;
  /** Told of the first line of each kind that was rejected: its place, itself, and what was expected. */
  readonly onRejected?: ((place: string, shown: string, expected: string) => void) | undefined;
}

/** Share of lines that may be rejected before an import fails. */
export const MAX_REJECTED = 0.01;

/** The share that `--max-rejected 1%` names; undefined if it is not given. */
export function parseMaxRejected(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const percent = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text)?.[1];
  if (percent === undefined || Number(percent) > 100)
    throw new UsageError(`--max-rejected is "${text}", expected a percentage such as 0.5%`);
  return Number(percent) / 100;
}

/** Kinds of rejected lines that are told apart, and rules by which lines are ignored. */
const MAX_KINDS = 100;

/** What became of a line. `reason`: the rule it was ignored by, or what was expected instead. */
export interface Fate {
  readonly fate: 'accepted' | 'ignored' | 'rejected';
  readonly reason: string;
}

export const ACCEPTED: Fate = { fate: 'accepted', reason: '' };

/** The fate of a line that a rule leaves out. */
export function ignored(rule: string): Fate {
  return { fate: 'ignored', reason: rule };
}

/** The fate of a line that is not what was expected. */
export function rejected(expected: string): Fate {
  return { fate: 'rejected', reason: expected };
}

/** Counts lines by fate; every line has exactly one. In a binary format a line is a record. */
export class Tally {
  lines = 0;
  accepted = 0;
  rejected = 0;
  private ignored = 0;
  private firstRejected = '';
  private readonly rules = new Map<string, number>();
  private readonly kinds = new Map<string, { lines: number; readonly first: number }>();

  constructor(
    private readonly file: string,
    private readonly options: ImportOptions,
    private readonly unit: 'line' | 'record' = 'line',
  ) {}

  /** Counts the next line, which is `text`. */
  take(text: string, { fate, reason }: Fate): void {
    const line = ++this.lines;
    if (fate === 'accepted') this.accepted++;
    else if (fate === 'ignored') this.ignore(reason);
    else this.reject(line, text, reason);
  }

  ignore(rule: string): void {
    this.ignored++;
    const name = this.rules.has(rule) || this.rules.size < MAX_KINDS ? rule : 'other rules';
    this.rules.set(name, (this.rules.get(name) ?? 0) + 1);
  }

  /** `line` counts from 1. */
  reject(line: number, text: string, expected: string): void {
    const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
    const place = this.unit === 'line' ? `${this.file}:${line}` : `${this.file}: ${this.unit} ${line}`;
    if (this.options.strict) throw new TraceError(place, `${shown} is not ${expected}`);
    if (this.rejected++ === 0) this.firstRejected = `${this.unit} ${line}: ${shown} is not ${expected}`;
    const known = this.kinds.get(expected);
    if (known) known.lines++;
    else if (this.kinds.size < MAX_KINDS) {
      this.kinds.set(expected, { lines: 1, first: line });
      this.options.onRejected?.(place, shown, expected);
    }
  }

  /** The result, or an error if too much was rejected or nothing was read. */
  finish(): ImportTally {
    if (this.rejected > this.lines * (this.options.maxRejected ?? MAX_REJECTED)) {
      const share = ((this.rejected / this.lines) * 100).toFixed(1);
      throw new TraceError(
        this.file,
        `${this.rejected} of ${this.lines} ${this.unit}s (${share} %) were not understood; first, ${this.firstRejected}`,
      );
    }
    if (this.accepted === 0) throw new TraceError(this.file, 'holds no record');
    const { lines, accepted, rejected, ignored } = this;
    const tally = { lines, accepted, rejected, ignored, rules: Object.fromEntries(this.rules) };
    const rejections = Object.fromEntries<Rejection>(this.kinds);
    return rejected === 0 ? tally : { ...tally, rejections };
  }
}

/** Reads a text format of one record a line. */
export async function readLines(input: Input, options: ImportOptions, fateOf: (text: string) => Fate): Promise<Tally> {
  const tally = new Tally(input.file, options);
  await eachLine(input, (text) => tally.take(text, fateOf(text)));
  return tally;
}

/** The first lines of the head of a file, at most 100, without what the head cuts. */
export function linesOfHead(head: Uint8Array): string[] {
  const lines = new TextDecoder('latin1').decode(head).split(/\r?\n/, 100);
  return lines.length > 1 && lines.length < 100 ? lines.slice(0, -1) : lines;
}
