import { RUN_OPS, type Run, type TraceEvent, type TracePage } from '../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE } from './format.ts';

/** One record as an object, with its agent: for text, tests and the reference. Engines read the columns. */
export type TraceRecord =
  | { readonly agent: number; readonly event: TraceEvent }
  | { readonly agent: number; readonly run: Run; readonly page: TracePage };

/** Records of a chunk, in order. `pages` holds all pages of the trace up to and including this chunk's. */
export function* recordsOf(chunk: Chunk, pages: readonly TracePage[]): Generator<TraceRecord> {
  let agent = chunk.agent;
  for (let i = 0; i < chunk.records; i++) {
    const head = chunk.heads[i]!;
    const op = head & HEAD_OP;
    if (op === HEAD_EVENT) {
      const event = chunk.events[head >>> HEAD_SHIFT]!;
      if (event.op === 'switch') agent = event.agent;
      yield { agent: event.agent, event };
      continue;
    }
    const page = head >>> HEAD_SHIFT;
    const straddle = (head & HEAD_STRADDLE) !== 0;
    const run = { op: RUN_OPS[op]!, page, straddle, fetches: chunk.runFetches[i]!, datas: chunk.runDatas[i]! };
    yield { agent, run, page: pages[page]! };
  }
}
