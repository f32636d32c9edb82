import type { Check, Mismatch } from '../model/check.ts';
import type { Prediction } from '../model/order.ts';
import type { EventName, Outcome, OutcomeKind } from '../model/trace.ts';

/** Mismatches kept; the first is the one to look at. */
const MAX_MISMATCHES = 20;

const ROWS = {
  hit: 'translations that hit',
  fill: 'translations that missed',
  fault: 'translations denied',
  descriptor: 'invalidation commands',
  wait: 'waits completed',
  fullReset: 'full resets of the IOTLB',
  iovaFree: 'IOVAs freed behind their invalidation',
  full: 'flushes of a full queue',
  timer: 'flushes by the timer',
} as const;
type Row = keyof typeof ROWS;

/** Compared in their order; resets apart, since an access between two commands of one submission may cause one. */
const IN_ORDER: readonly ReadonlySet<OutcomeKind>[] = [new Set(['descriptor', 'wait']), new Set(['fullReset'])];
/** Commands that change the translation cache; they must stand at the very record. VT-d IOTLB 2, AMD pages 3. */
const EFFECTS = { vtd: 2, amdvi: 3 } as const;

/**
 * Compares predictions with outcomes, epoch by epoch. An epoch begins at each record that is no device access; what the
 * CPU does in it has one cause, so that a command that is missing, doubled or moved is found where it happened and does
 * not shift those behind it.
 */
export class Comparison {
  readonly mismatches: Mismatch[] = [];
  failures = 0;
  private predicted: Prediction[] = [];
  private recorded: Outcome[] = [];
  private op: EventName = 'idle';
  /** Line of the last outcome looked at, and of the last one of the epoch before. */
  private line = 0;
  private lineBefore = 0;
  private skipped = 0;
  private readonly counts = new Map<Row, { expected: number; got: number; wrong: number }>();
  /** `page:pages:space` -> the record and line behind which that IOVA may be given back. */
  private readonly freeable = new Map<string, { readonly record: number; readonly line: number }>();

  constructor(private readonly commands: 'vtd' | 'amdvi') {
    for (const row of Object.keys(ROWS) as Row[]) this.counts.set(row, { expected: 0, got: 0, wrong: 0 });
  }

  /** One epoch, which began with an event `op`: all that was predicted and recorded from it to the next. */
  epoch(op: EventName, predicted: Prediction[], recorded: Outcome[]): void {
    this.op = op;
    this.predicted = predicted;
    this.recorded = recorded;
    const before = this.lineBefore || (recorded[0]?.line ?? 0);
    this.line = before;
    this.translations();
    if (this.commands === 'amdvi' && op === 'iommu') this.skip();
    else {
      for (const kinds of IN_ORDER) {
        this.line = before;
        this.inOrder(kinds);
      }
    }
    this.frees();
    this.lineBefore = recorded.at(-1)?.line ?? before;
  }

  checks(): Check[] {
    for (const name of [...this.freeable.keys()]) this.neverFreed(name);
    const checks: Check[] = [];
    for (const [row, { expected, got, wrong }] of this.counts) {
      if (expected === 0 && got === 0 && wrong === 0 && row !== 'descriptor') continue;
      const holds = wrong === 0 && expected === got;
      checks.push({ name: ROWS[row], kind: 'predicted', expected, got, tolerance: 0, holds });
    }
    if (this.skipped > 0) {
      const name = 'commands before the first map (boot)';
      checks.push({ name, kind: 'not-modelled', expected: this.skipped, got: 0, tolerance: 0, holds: true });
    }
    return checks;
  }

  private translations(): void {
    const predicted = this.predicted.filter(isTranslation);
    const recorded = this.recorded.filter(isTranslation);
    let p = 0;
    let r = 0;
    while (p < predicted.length || r < recorded.length) {
      const ours = predicted[p];
      const theirs = recorded[r];
      const both = ours && theirs && ours.record === theirs.record;
      if (both || (theirs && (!ours || theirs.record < ours.record))) {
        this.count(theirs.kind as Row, theirs, both ? ours : undefined);
        r++;
        if (both) p++;
      } else {
        this.count(ours!.kind as Row, undefined, ours);
        p++;
      }
    }
  }

  /** Commands at boot, which this machine does not model. */
  private skip(): void {
    for (const outcome of this.recorded) if (outcome.kind === 'descriptor') this.skipped++;
  }

  private inOrder(kinds: ReadonlySet<OutcomeKind>): void {
    const predicted = this.predicted.filter((row) => kinds.has(row.kind));
    const recorded = this.recorded.filter((row) => kinds.has(row.kind));
    let r = 0;
    for (let p = 0; p < predicted.length; p++) {
      const ours = predicted[p]!;
      // One command too many or too few must not make all behind it wrong.
      const rest = predicted.length - p;
      const extra = recorded.length - r > rest && !this.same(ours, recorded[r]!);
      const lacks = recorded.length - r < rest && (r === recorded.length || !this.same(ours, recorded[r]!));
      if (lacks) {
        this.command(undefined, ours);
        continue;
      }
      if (extra) {
        this.command(recorded[r++], undefined);
        p--;
        continue;
      }
      this.command(recorded[r++], ours);
    }
    while (r < recorded.length) this.command(recorded[r++], undefined);
  }

  private command(theirs: Outcome | undefined, ours: Prediction | undefined): void {
    this.count((theirs ?? ours)!.kind as Row, theirs, ours);
    const cause = ours ? ours.cause : this.op === 'timer' ? 'timer' : 'none';
    const row = cause === 'timer' ? 'timer' : cause === 'queue-full' ? 'full' : undefined;
    const flush = EFFECTS[this.commands];
    if (!row || (theirs ?? ours)!.kind !== 'descriptor' || (theirs ?? ours)!.values[0] !== flush) return;
    const counts = this.counts.get(row)!;
    if (theirs) counts.expected++;
    if (ours) counts.got++;
  }

  private frees(): void {
    for (const row of this.predicted) {
      if (row.kind !== 'iovaFree') continue;
      const name = row.values.join(':');
      // It cannot have been mapped and unmapped again in the meantime.
      if (this.freeable.has(name)) this.neverFreed(name);
      this.freeable.set(name, { record: row.record, line: this.lastCommand(row) });
    }
    const counts = this.counts.get('iovaFree')!;
    for (const outcome of this.recorded) {
      if (outcome.kind !== 'iovaFree') continue;
      counts.expected++;
      const name = outcome.values.join(':');
      const allowed = this.freeable.get(name);
      if (allowed && allowed.record <= outcome.record && allowed.line < outcome.line) {
        counts.got++;
        this.freeable.delete(name);
        continue;
      }
      counts.wrong++;
      const behind = allowed ? 'only behind its invalidation' : 'not yet, or not again';
      this.mismatch(outcome.line, text(outcome), `given back ${behind}`);
    }
  }

  private neverFreed(name: string): void {
    const [page, pages] = name.split(':').map(Number) as [number, number];
    this.counts.get('iovaFree')!.wrong++;
    this.mismatch(this.freeable.get(name)!.line, 'nothing', text({ kind: 'iovaFree', values: [page, pages] }));
    this.freeable.delete(name);
  }

  /** Line of the recorded command behind which a predicted release stands: the last one of its record. */
  private lastCommand(row: Prediction): number {
    const before = this.predicted.slice(0, this.predicted.indexOf(row)).filter((p) => p.kind === 'descriptor').length;
    const commands = this.recorded.filter((outcome) => outcome.kind === 'descriptor');
    return before === 0 ? this.lineBefore : (commands[before - 1]?.line ?? this.line);
  }

  private count(row: Row, theirs: Outcome | undefined, ours: Prediction | undefined): void {
    const counts = this.counts.get(row)!;
    if (theirs) {
      counts.expected++;
      this.line = theirs.line;
    }
    if (theirs && ours && this.same(ours, theirs)) {
      counts.got++;
      return;
    }
    counts.wrong++;
    this.mismatch(this.line, theirs ? text(theirs) : 'nothing', ours ? predictionText(ours) : 'nothing');
  }

  private same(ours: Prediction, theirs: Outcome): boolean {
    if (ours.kind !== theirs.kind) return false;
    const length = Math.min(ours.values.length, theirs.values.length);
    for (let i = 0; i < length; i++) if (ours.values[i] !== theirs.values[i]) return false;
    const effect = ours.kind === 'descriptor' && ours.values[0] === EFFECTS[this.commands];
    return effect ? ours.record === theirs.record : ours.record <= theirs.record;
  }

  private mismatch(line: number, recorded: string, predicted: string): void {
    this.failures++;
    if (this.mismatches.length < MAX_MISMATCHES) this.mismatches.push({ line, recorded, predicted });
  }
}

function isTranslation({ kind }: { readonly kind: OutcomeKind }): boolean {
  return kind === 'hit' || kind === 'fill' || kind === 'fault';
}

function predictionText(row: Prediction): string {
  const cause = row.cause === 'none' ? '' : ` (${row.cause.replace('-', ' ')})`;
  return `${text(row)}${cause} at record ${row.record}`;
}

function text({ kind, values }: Pick<Outcome, 'kind' | 'values'>): string {
  switch (kind) {
    case 'hit':
    case 'fill':
      return `${kind} of frame ${hex(values[0]!)}${values.length > 1 ? `, domain ${values[1]}` : ''}${values.length > 2 ? `, permission ${values[2]}` : ''}`;
    case 'fault':
      return `fault ${values[0]} of page ${hex(values[1]!)}`;
    case 'descriptor':
      return `command ${word(values[2], values[1])} ${word(values[4], values[3])}`;
    case 'iovaFree':
      return `IOVA of ${values[1]} pages from ${hex(values[0]!)} given back`;
    default:
      return kind;
  }
}

function word(high: number | undefined, low: number | undefined): string {
  if (low === undefined) return '-';
  return `0x${(high ?? 0).toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
