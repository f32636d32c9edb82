import { OrderEngine } from '../engine/order.ts';
import { type LocatedTrace, useTrace } from '../jobs/locate.ts';
import type { RecordingResult } from '../model/check.ts';
import { Interrupted, TraceError, UsageError } from '../model/errors.ts';
import type { OrderMachine, OrderPolicy, Prediction } from '../model/order.ts';
import { type EventName, IOMMU_KINDS, type Outcome } from '../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from '../trace/format.ts';
import { engineModule } from '../trace/module.ts';
import type { Trace } from '../trace/reader.ts';
import { Comparison } from './compare.ts';
import { ORDER_MACHINES } from './machines.ts';

/** What may be asked for instead of what the recording says. */
export interface RecordingOptions {
  /** Name of a machine; as recorded if not given. */
  readonly machine?: string | undefined;
  readonly policy?: OrderPolicy | undefined;
  /** Told the share of the records that are replayed, 0..1. */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Device accesses do not begin an epoch: one in the middle of a submission changes nothing for the CPU. */
const WITHIN: ReadonlySet<EventName> = new Set(['dma', 'dmaRaw', 'switch']);

/**
 * Replays a recording in its order and compares. The engine is fed records; outcomes are read here, after what they are
 * compared with has been computed.
 */
export async function verifyRecording(
  trace: Trace,
  name: string,
  module: WebAssembly.Module,
  options: RecordingOptions = {},
): Promise<RecordingResult> {
  const machine = machineOf(trace, name, options.machine);
  const policy = options.policy ?? 'recorded';
  const engine = new OrderEngine(module, machine, policy, trace.meta);
  const comparison = new Comparison(machine.commands);
  const outcomes = new Pulled(trace.outcomes());
  let epoch: { op: EventName; predictions: Prediction[]; outcomes: Outcome[] } = {
    op: 'idle',
    predictions: [],
    outcomes: outcomes.before(0),
  };
  if (outcomes.empty) throw new TraceError(name, 'holds no recorded outcomes: there is nothing to verify');
  let first = 0;
  for (const chunk of trace.chunks()) {
    const predictions = new Pulled([engine.feed(chunk)]);
    for (const { record, op } of beginnings(chunk, first)) {
      epoch.predictions.push(...predictions.before(record));
      epoch.outcomes.push(...outcomes.before(record));
      comparison.epoch(epoch.op, epoch.predictions, epoch.outcomes);
      epoch = { op, predictions: [], outcomes: [] };
    }
    first += chunk.records;
    epoch.predictions.push(...predictions.before(first));
    epoch.outcomes.push(...outcomes.before(first));
    options.onProgress?.(first / trace.meta.counts.records);
    await turn(options.signal);
  }
  comparison.epoch(epoch.op, epoch.predictions, [...epoch.outcomes, ...outcomes.before(Number.POSITIVE_INFINITY)]);
  const checks = comparison.checks();
  const judged = checks.filter((check) => check.kind !== 'not-modelled');
  const held = judged.filter((check) => check.holds).length;
  return {
    machine: machine.name,
    policy,
    inferred: trace.meta.inferred,
    checks,
    held,
    failed: judged.length - held,
    mismatches: comparison.mismatches,
    mismatched: comparison.failures,
  };
}

/** Replays a recording of a real kernel on an emulator in its order, and compares; see RecordingResult. */
export function verifyTrace(trace: LocatedTrace, options: RecordingOptions = {}): Promise<RecordingResult> {
  return useTrace(trace.path, (opened) => verifyRecording(opened, trace.name, engineModule(), options));
}

/** The machine that was asked for, or the one that the recording says. */
function machineOf(trace: Trace, name: string, asked: string | undefined): OrderMachine {
  const names = ORDER_MACHINES.map((machine) => machine.name).join(', ');
  if (asked !== undefined) {
    const found = ORDER_MACHINES.find((machine) => machine.name === asked);
    if (!found) throw new UsageError(`no machine ${asked} for recordings, expected one of ${names}`);
    return found;
  }
  for (const chunk of trace.chunks()) {
    const event = chunk.events.find(({ op }) => op === 'iommu');
    const kind = event && IOMMU_KINDS[event.fields[0]!];
    const found = ORDER_MACHINES.find((machine) => machine.commands === kind);
    if (found) return found;
    if (event) break;
  }
  throw new TraceError(name, `does not say which IOMMU was recorded; --machine ${names} says it`);
}

/** Records of a chunk that begin an epoch. */
function* beginnings(chunk: Chunk, first: number): Generator<{ record: number; op: EventName }> {
  for (let i = 0; i < chunk.records; i++) {
    const head = chunk.heads[i]!;
    if ((head & HEAD_OP) !== HEAD_EVENT) continue;
    const { op } = chunk.events[head >>> HEAD_SHIFT]!;
    if (!WITHIN.has(op)) yield { record: first + i, op };
  }
}

/** A stream of rows, taken up to a record. */
class Pulled<T extends { readonly record: number }> {
  private readonly lists: Iterator<readonly T[]>;
  private list: readonly T[] = [];
  private at = 0;
  empty = true;

  constructor(lists: Iterable<readonly T[]>) {
    this.lists = lists[Symbol.iterator]();
    this.more();
  }

  /** All rows that are left of records below `record`. */
  before(record: number): T[] {
    const rows: T[] = [];
    for (let row = this.list[this.at]; row !== undefined && row.record < record; row = this.list[this.at]) {
      rows.push(row);
      if (++this.at === this.list.length) this.more();
    }
    return rows;
  }

  private more(): void {
    const next = this.lists.next();
    this.list = next.done ? [] : next.value;
    this.at = 0;
    if (this.list.length > 0) this.empty = false;
  }
}

/** Lets signals through between two chunks. */
async function turn(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  if (signal?.aborted) throw new Interrupted('interrupted');
}
