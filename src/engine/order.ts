import { TraceError } from '../model/errors.ts';
import {
  MAX_HELD,
  ORDER_CAUSES,
  type OrderCause,
  type OrderMachine,
  type OrderPolicy,
  PREDICTED,
  type Prediction,
} from '../model/order.ts';
import type { EventName, TraceEvent, TraceMeta } from '../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from '../trace/format.ts';
import { constant, type Instance, instantiate } from './load.ts';

/** What the module exports for order replay; see assembly/order.ts and assembly/prediction.ts. */
interface OrderExports extends Record<string, unknown> {
  orderInit(
    agents: number,
    spaces: number,
    instances: number,
    amd: number,
    entries: number,
    drops: number,
    maxOrder: number,
    slots: number,
    queue: number,
    policy: number,
  ): number;
  orderRun(from: number, count: number): number;
  orderRows(): number;
  orderDrain(): number;
}

/** The engine's name of each event that order replay looks at. */
const OPS: Partial<Record<EventName, string>> = {
  iommu: 'ORDER_IOMMU',
  attach: 'ORDER_ATTACH',
  map: 'ORDER_MAP',
  unmap: 'ORDER_UNMAP',
  dma: 'ORDER_DMA',
  dmaRaw: 'ORDER_DMA_RAW',
  lazy: 'ORDER_LAZY',
  hold: 'ORDER_HOLD',
  submit: 'ORDER_SUBMIT',
  timer: 'ORDER_TIMER',
};

const KINDS: Record<(typeof PREDICTED)[number], string> = {
  hit: 'ROW_HIT',
  fill: 'ROW_FILL',
  fault: 'ROW_FAULT',
  descriptor: 'ROW_DESCRIPTOR',
  wait: 'ROW_WAIT',
  iovaFree: 'ROW_IOVA_FREE',
  fullReset: 'ROW_FULL_RESET',
};

const CAUSES: Record<OrderCause, string> = {
  none: 'WHY_NONE',
  enable: 'WHY_ENABLE',
  attach: 'WHY_ATTACH',
  map: 'WHY_MAP',
  strict: 'WHY_STRICT',
  'queue-full': 'WHY_QUEUE_FULL',
  timer: 'WHY_TIMER',
};

const DROPS: Record<OrderMachine['drops'], string> = {
  block: 'DROPS_BLOCK',
  'low-byte': 'DROPS_LOW_BYTE',
  domain: 'DROPS_DOMAIN',
};

const POLICIES: Record<OrderPolicy, string> = {
  recorded: 'POLICY_RECORDED',
  strict: 'POLICY_STRICT',
  lazy: 'POLICY_LAZY',
};

/** Pages of one mapping, and offsets in one: a u32 in the engine. */
const MAX_PAGES = 2 ** 31;
/** Domain and source ids are 16 bits in every command. */
const MAX_ID = 0xffff;

/** Order replay of one trace, fed chunk by chunk. It is given records only, never outcomes. */
export class OrderEngine {
  private readonly instance: Instance<OrderExports>;
  private readonly events: number;
  private readonly eventWords: number;
  private readonly rowWords: number;
  private readonly codes: ReadonlyMap<EventName, number>;
  private readonly kinds: (typeof PREDICTED)[number][] = [];
  private readonly causes: OrderCause[] = [];
  private record = 0;

  constructor(
    module: WebAssembly.Module,
    machine: OrderMachine,
    policy: OrderPolicy,
    private readonly meta: TraceMeta,
  ) {
    this.instance = instantiate<OrderExports>(module);
    const { exports } = this.instance;
    const value = (name: string): number => constant(exports[name]);
    this.codes = new Map(Object.entries(OPS).map(([op, name]) => [op as EventName, value(name)]));
    for (const kind of PREDICTED) this.kinds[value(KINDS[kind])] = kind;
    for (const cause of ORDER_CAUSES) this.causes[value(CAUSES[cause])] = cause;
    this.eventWords = value('ORDER_EVENT_WORDS');
    this.rowWords = value('ROW_WORDS');
    const { agents, spaces, counts } = meta;
    this.events = exports.orderInit(
      agents.length,
      spaces.length,
      Math.max(1, counts.instances),
      machine.commands === 'amdvi' ? 1 : 0,
      machine.entries,
      value(DROPS[machine.drops]),
      machine.maxOrder,
      machine.slots,
      machine.queue,
      value(POLICIES[policy]),
    );
  }

  /** What must have happened during the records of `chunk`, in order. */
  feed(chunk: Chunk): Prediction[] {
    const { exports, memory } = this.instance;
    const { events, count } = this.collect(chunk);
    const predictions: Prediction[] = [];
    for (let at = 0; at < count; ) {
      at = exports.orderRun(at, count);
      const rows = new Float64Array(memory.buffer, exports.orderRows(), exports.orderDrain() * this.rowWords);
      this.read(rows, events, predictions);
    }
    this.record += chunk.records;
    return predictions;
  }

  /** Writes the events of a chunk; returns the record of each. */
  private collect(chunk: Chunk): { events: Uint32Array; count: number } {
    const words = new Float64Array(this.instance.memory.buffer, this.events, chunk.events.length * this.eventWords);
    const events = new Uint32Array(chunk.events.length);
    let count = 0;
    chunk.heads.forEach((head, i) => {
      if ((head & HEAD_OP) !== HEAD_EVENT) return;
      const event = chunk.events[head >>> HEAD_SHIFT]!;
      const code = this.codes.get(event.op);
      if (code === undefined) return;
      this.check(event, this.record + i);
      const at = count * this.eventWords;
      words[at] = code;
      words[at + 1] = event.agent;
      words.set(event.fields, at + 2);
      events[count++] = i;
    });
    return { events, count };
  }

  /** The reader has checked agents, spaces and first instances; the rest must fit the engine's tables. */
  private check({ op, fields }: TraceEvent, record: number): void {
    const { instances } = this.meta.counts;
    const [, second, third] = fields as [number, number, number];
    const bad =
      (op === 'map' && third >= MAX_PAGES && `${third} pages`) ||
      (op === 'dma' && second >= MAX_PAGES && `page ${second} of a mapping`) ||
      (op === 'unmap' && fields[1]! + third > instances && `instance ${fields[1]! + third - 1} of ${instances}`) ||
      ((op === 'hold' || op === 'submit') && fields[0]! >= MAX_HELD && `token ${fields[0]} of ${MAX_HELD}`) ||
      (op === 'attach' && Math.max(second, third) > MAX_ID && `domain or source above ${MAX_ID}`);
    if (bad) throw new TraceError(`record ${record}`, `${op} names ${bad}`);
  }

  private read(rows: Float64Array, events: Uint32Array, out: Prediction[]): void {
    for (let at = 0; at < rows.length; at += this.rowWords) {
      const record = this.record + events[rows[at + 1]!]!;
      const values = Array.from(rows.subarray(at + 4, at + 4 + rows[at + 3]!));
      out.push({ kind: this.kinds[rows[at]!]!, record, cause: this.causes[rows[at + 2]!]!, values });
    }
  }
}
