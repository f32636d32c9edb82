import { DENIED, LANDS_STALE, type LogEvent, type LogKind, PROPERTY_NAMES } from '../model/log.ts';
import { type Numbers, OCCASION_PATH, stepWords } from './encode.ts';
import type { Instance } from './load.ts';

/** What the module exports for its event log; see assembly/log.ts. */
export interface LogExports {
  logInit(count: number): number;
  logLength(): number;
  logLost(): number;
  logClear(): void;
  logSelect(bits: number, from: number, to: number): void;
}

const WORD = 2 ** 32;

const ACCESS = { BY_TLB: 'tlb', BY_STALE: 'stale', BY_WALK: 'walk', BY_FILL: 'fill', BY_LATE: 'late' } as const;
const FAULT = {
  MODE_FRAME: 'new page',
  MODE_ZERO: 'zero page',
  MODE_REUSE: 'same page',
  MODE_BACK: 'page again',
  MODE_COPY: 'copy',
} as const;
const DEVICE = {
  DEVICE_HIT: 'device TLB hit',
  DEVICE_ASKS: 'asks IOMMU',
  IOTLB_HIT: 'IOTLB hit',
  IOTLB_MISS: 'IOTLB miss',
  WALK_DONE: 'walk',
  WALK_FAULT: 'walk: not allowed',
  PAGE_REQUEST: 'page request',
  IOTLB_FILL: 'fills IOTLB',
  DEVICE_FILL: 'fills device TLB',
  LANDS: 'lands',
  LANDS_STALE,
  DENIED,
} as const;
const COMMAND = {
  N_IOTLB_PAGE: 'iotlb.page',
  N_IOTLB_RANGE: 'iotlb.range',
  N_IOTLB_PASID: 'iotlb.pasid',
  N_IOTLB_DOMAIN: 'iotlb.domain',
  N_IOTLB_GLOBAL: 'iotlb.global',
  N_DEVICE_TLB: 'device_tlb',
  N_PASID_ENTRY: 'pasid.entry',
  N_PAGE_RESPONSES: 'page response',
  N_WAIT: 'wait',
} as const;
const COMMAND_STATES = {
  COMMAND_FETCHED: 'fetched',
  COMMAND_DONE: 'done',
  COMMAND_ARRIVES: 'arrives',
  COMMAND_QUEUED: 'queued',
  COMMAND_SENT: 'sent',
  COMMAND_REFUSED: 'refused',
} as const;
const LOCKS = {
  PAGE_TABLE_LOCK: 'page-table lock',
  QUEUE_LOCK: 'queue lock',
  WALKERS: 'walker',
  IOVA_LOCK: 'IOVA lock',
  DOMAIN_LOCK: 'lock of cache tags',
  MMAP_LOCK: 'mmap_lock',
} as const;
const LOCK_STATES = { LOCK_TAKEN: 'takes', LOCK_WAITS: 'waits for', LOCK_GIVEN: 'gives up' } as const;
const CALLS = { CALL_BEGINS: 'begins', CALL_RETURNS: 'returns' } as const;
const QUEUE = {
  QUEUE_ENTERS: 'enters',
  QUEUE_LEAVES: 'leaves',
  QUEUE_FLUSHES: 'flush begins',
  QUEUE_FLUSHED: 'flush ends',
} as const;
const KINDS: Readonly<Record<string, LogKind>> = {
  LOG_STEP: 'step',
  LOG_ACCESS: 'access',
  LOG_FAULT: 'fault',
  LOG_DEVICE: 'device',
  LOG_COMMAND: 'command',
  LOG_WINDOW: 'window',
  LOG_DUE: 'due',
  LOG_BROKEN: 'broken',
  LOG_FREE: 'free',
  LOG_LOCK: 'lock',
  LOG_ACTION: 'action',
  LOG_CALL: 'call',
  LOG_QUEUE: 'queue',
};

/** What of a run is to be logged: at most `room` events at a time, of these kinds, between two instants in picoseconds. */
export interface LogSelection {
  readonly room: number;
  readonly kinds: readonly LogKind[];
  readonly from: number;
  readonly to: number;
}

/** The event log of an engine, in words. */
export class EngineLog {
  private at = 0;
  private readonly kinds: Map<number, LogKind>;
  private readonly words: Map<number, string>;

  constructor(
    private readonly instance: Instance<LogExports>,
    private readonly numbers: Numbers,
  ) {
    this.kinds = new Map(Object.entries(KINDS).map(([name, kind]) => [numbers(name), kind]));
    this.words = stepWords(numbers);
  }

  /** Turns it on with room for `count` events. After the engine is laid out, and once. */
  open(count: number): this {
    this.at = this.instance.exports.logInit(count);
    return this;
  }

  /** From now on only these events are kept, those of both ends included. */
  select({ kinds, from, to }: LogSelection): this {
    let bits = 0;
    for (const [number, kind] of this.kinds) if (kinds.includes(kind)) bits |= 1 << number;
    this.instance.exports.logSelect(bits, from, to);
    return this;
  }

  /** What has happened since this was last called. `lost`: events for which there was no room. */
  take(): { readonly events: LogEvent[]; readonly lost: number } {
    const { exports, memory } = this.instance;
    const stride = this.numbers('LOG_BYTES');
    const view = new DataView(memory.buffer);
    const events = Array.from({ length: exports.logLength() }, (_, i) => this.event(view, this.at + i * stride));
    const lost = exports.logLost();
    exports.logClear();
    return { events, lost };
  }

  private event(view: DataView, at: number): LogEvent {
    const u32 = (offset: number): number => view.getUint32(at + offset, true);
    const kind = this.kinds.get(u32(0))!;
    const page = u32(24) === 0 ? null : u32(24) - 1;
    const time = u32(16) + u32(20) * WORD;
    return { kind, agent: u32(4), at: time, page, number: u32(28), ...this.said(kind, u32(8), u32(12)) };
  }

  private said(kind: LogKind, what: number, detail: number): { what: string; detail: string } {
    const one = (table: Readonly<Record<string, string>>, n: number): string =>
      Object.entries(table).find(([name]) => this.numbers(name) === n)?.[1] ?? String(n);
    const write = detail === 0 ? 'read' : 'write';
    switch (kind) {
      case 'step':
        return { what: this.words.get(what) ?? '', detail: one({ ...OCCASION_PATH, AT_FAULT: 'fault' }, detail) };
      case 'access':
        return { what: one(ACCESS, what), detail: write };
      case 'fault':
        return { what: one(FAULT, what), detail: write };
      case 'device':
        return { what: one(DEVICE, what), detail: write };
      case 'command':
        return { what: one(COMMAND, what), detail: one(COMMAND_STATES, detail) };
      case 'call':
        return { what: what === 0 ? 'map' : 'unmap', detail: one(CALLS, detail) };
      case 'queue':
        return { what: one(QUEUE, what), detail: '' };
      case 'lock':
        return { what: one(LOCKS, what), detail: one(LOCK_STATES, detail) };
      case 'window':
        return { what: what === 0 ? 'closes' : 'opens', detail: '' };
      case 'broken':
        return { what: PROPERTY_NAMES[what] ?? String(what), detail: '' };
      case 'free':
      case 'action':
        return { what: String(what), detail: '' };
      default:
        return { what: '', detail: '' };
    }
  }
}
