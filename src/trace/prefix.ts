import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from './format.ts';
import type { Trace } from './reader.ts';

/** The trace as if it ended behind its first records. */
export function firstRecords(trace: Trace, records = Number.POSITIVE_INFINITY): Trace {
  return {
    ...trace,
    *chunks() {
      let left = records;
      let pages = 0;
      for (const chunk of trace.chunks()) {
        if (left <= 0) return;
        yield chunk.records <= left ? chunk : beginOf(chunk, left, pages);
        left -= chunk.records;
        pages += chunk.pages.length;
      }
    },
  };
}

/** The first records of a chunk, with the events and pages that they refer to. `before`: pages of earlier chunks. */
function beginOf(chunk: Chunk, records: number, before: number): Chunk {
  const heads = chunk.heads.subarray(0, records);
  let [events, pages] = [0, before];
  for (const head of heads) {
    const index = (head >>> HEAD_SHIFT) + 1;
    if ((head & HEAD_OP) === HEAD_EVENT) events = Math.max(events, index);
    else pages = Math.max(pages, index);
  }
  return {
    ...chunk,
    records,
    heads,
    runFetches: chunk.runFetches.subarray(0, records),
    runDatas: chunk.runDatas.subarray(0, records),
    events: chunk.events.slice(0, events),
    pages: chunk.pages.slice(0, pages - before),
  };
}
