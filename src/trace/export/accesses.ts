import type { TraceEvent, TracePage } from '../../model/trace.ts';
import { HEAD_EVENT, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE } from '../format.ts';
import type { Trace } from '../reader.ts';
import { FETCH, READ } from '../writer.ts';

/** Nothing of that kind. */
export const NONE = -1;

/** A run record with the runs that its counts belong to. */
export interface RunRecord {
  readonly agent: number;
  /** FETCH, READ or WRITE: the access that starts the record. */
  readonly kind: number;
  readonly vpn: number;
  /** Second half of the access before it. */
  readonly second: boolean;
  /** Accesses from this record to the next one of its agent, its first one included, and their pages. */
  readonly fetches: number;
  readonly datas: number;
  readonly fetchVpn: number;
  readonly dataVpn: number;
  /** The data run began with a write, so that all that follows in it may be writes. */
  readonly dataWrites: boolean;
}

/** One thing that a format may have a place for. */
export type Item = { readonly run: RunRecord; readonly next: number } | { readonly event: TraceEvent };

/** One access, or several alike. */
export interface Accesses {
  readonly kind: number;
  readonly vpn: number;
  readonly times: number;
  readonly second: boolean;
}

/**
 * The records of a trace with what their counts mean. `next` of a run: kind of a second half that the next record is, to
 * which the last access of that kind leads; NONE where it is none.
 */
export function* itemsOf(trace: Trace): Generator<Item> {
  const pages: TracePage[] = [];
  const open = trace.meta.agents.map(() => ({ fetchVpn: NONE, dataVpn: NONE, dataWrites: false }));
  let held: RunRecord | undefined;
  for (const chunk of trace.chunks()) {
    for (const page of chunk.pages) pages.push(page);
    for (const state of open) Object.assign(state, { fetchVpn: NONE, dataVpn: NONE });
    let { agent } = chunk;
    for (let i = 0; i < chunk.records; i++) {
      const head = chunk.heads[i]!;
      const kind = head & HEAD_OP;
      const second = kind !== HEAD_EVENT && (head & HEAD_STRADDLE) !== 0;
      // A record is handed on when the one behind it is known, which may be in the next chunk.
      if (held) yield { run: held, next: second && held.agent === agent ? kind : NONE };
      held = undefined;
      if (kind === HEAD_EVENT) {
        const event = chunk.events[head >>> HEAD_SHIFT]!;
        if (event.op === 'switch') {
          agent = event.agent;
          continue;
        }
        Object.assign(open[event.agent]!, { fetchVpn: NONE, dataVpn: NONE });
        yield { event };
        continue;
      }
      const state = open[agent]!;
      const { vpn } = pages[head >>> HEAD_SHIFT]!;
      if (kind === FETCH) state.fetchVpn = vpn;
      else Object.assign(state, { dataVpn: vpn, dataWrites: kind !== READ });
      held = { agent, kind, vpn, second, fetches: chunk.runFetches[i]!, datas: chunk.runDatas[i]!, ...state };
      if (second && kind === FETCH) state.fetchVpn = NONE;
      else if (second) state.dataVpn = NONE;
    }
  }
  if (held) yield { run: held, next: NONE };
}

/**
 * The accesses of a record in an order that gives the same record again: its own first, and last one of `next`. What is
 * behind the first write of a run counts as reads: the trace does not say.
 */
export function accessesOf({ kind, vpn, second, ...run }: RunRecord, next: number): Accesses[] {
  const fetch = kind === FETCH;
  const accesses: Accesses[] = [{ kind, vpn, times: 1, second }];
  const add = (what: number, page: number, times: number): void => {
    if (times > 0) accesses.push({ kind: what, vpn: page, times, second: false });
  };
  const fetches = fetch ? run.fetches - 1 : run.fetches;
  const datas = fetch ? run.datas : run.datas - 1;
  if (next === FETCH) {
    add(READ, run.dataVpn, datas);
    add(FETCH, run.fetchVpn, fetches);
  } else {
    add(FETCH, run.fetchVpn, fetches);
    add(READ, run.dataVpn, next === NONE ? datas : datas - 1);
    if (next !== NONE && datas > 0) add(next, run.dataVpn, 1);
  }
  return accesses;
}
