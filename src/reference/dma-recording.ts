import { PROT, type TraceAgent, type TraceEvent } from '../model/trace.ts';

/** A recording of the DMA API. */
export interface DmaRecording {
  readonly agents: readonly TraceAgent[];
  /** Domains. */
  readonly spaces: number;
  readonly events: readonly TraceEvent[];
}

/** One instance of a DMA mapping. */
export interface Mapping {
  readonly space: number;
  readonly pages: number;
  /** Number of its first frame; the others follow. */
  readonly frame: number;
  readonly writable: boolean;
  /** The instance that it lies behind in one IOVA allocation: a scatter list. */
  readonly before: Mapping | null;
  /** Pages of the allocation that it begins. */
  allocation: number;
  /** Its first page number, once it has one. */
  page: number;
  state: 'to come' | 'mapped' | 'ending' | 'returned';
  /** When its unmap began. */
  began: number;
  /** Accesses recorded before its unmap that are over. */
  over: number;
}

/** One access of a device. */
export interface DmaAccess {
  readonly kind: 'access';
  readonly mapping: Mapping;
  readonly page: number;
  readonly write: boolean;
  /** Recorded after the unmap began, by so much; null: before it. */
  readonly after: number | null;
}

/** What a CPU or a device does next. */
export type DmaRecord = { readonly think: number; readonly number: number } & (
  | { readonly kind: 'map'; readonly mapping: Mapping }
  /** Waits for so many accesses to what it ends. */
  | { readonly kind: 'unmap'; readonly mappings: readonly Mapping[]; readonly accesses: number }
  | DmaAccess
  /** A device access to an IOVA at which nothing was ever mapped. */
  | { readonly kind: 'raw' }
);

/** Each agent's records, in its order. What the recorded policy did is left out; the time that passed is kept. */
export function recordsOf({ agents, events }: DmaRecording, timeScale: number): DmaRecord[][] {
  const mappings = new Map<number, Mapping>();
  const lists = agents.map((): DmaRecord[] => []);
  const gaps = agents.map(() => 0);
  for (const [number, event] of events.entries()) {
    const { agent } = event;
    gaps[agent]! += event.gap;
    const what = recordOf(event, mappings);
    if (what === null) continue;
    lists[agent]!.push({ ...what, think: Math.round(gaps[agent]! * timeScale), number });
    gaps[agent] = 0;
  }
  return lists;
}

type What = DmaRecord extends infer Each ? (Each extends DmaRecord ? Omit<Each, 'think' | 'number'> : never) : never;

function recordOf({ op, fields }: TraceEvent, mappings: Map<number, Mapping>): What | null {
  const [first, second, third, fourth, fifth] = fields as [number, number, number, number, number];
  if (op === 'map') {
    const mapping = mappingOf(fields, mappings);
    mappings.set(second, mapping);
    return { kind: 'map', mapping };
  }
  if (op === 'unmap') {
    const ended = Array.from({ length: third }, (_, i) => mappings.get(second + i)!);
    return { kind: 'unmap', mappings: ended, accesses: fourth };
  }
  if (op === 'dma') {
    const after = fifth === 0 ? null : fifth - 1;
    return { kind: 'access', mapping: mappings.get(first)!, page: second, write: fourth === 1, after };
  }
  return op === 'dmaRaw' ? { kind: 'raw' } : null;
}

function mappingOf(fields: readonly number[], mappings: ReadonlyMap<number, Mapping>): Mapping {
  const [space, id, pages, frame, prot, , joined] = fields as [
    number, number, number, number, number, number, number,
  ]; // biome-ignore format: the fields of a map
  const before = joined === 1 ? mappings.get(id - 1)! : null;
  const rest = { page: 0, state: 'to come', began: 0, over: 0 } as const;
  const writable = (prot & PROT.write) !== 0;
  const mapping: Mapping = { space, pages, frame, writable, before, allocation: before ? 0 : pages, ...rest };
  // The first piece asks for room for all of them.
  let head = mapping;
  while (head.before) head = head.before;
  if (head !== mapping) head.allocation += pages;
  return mapping;
}
