import { expect, test } from 'vitest';
import { openBytes } from '../../testing/program.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from './format.ts';
import { generateTrace, workloadNamed } from './generate/index.ts';
import { parseSizes } from './generate/workload.ts';
import { firstRecords } from './prefix.ts';

/** A trace of two chunks, in which new pages and events come to the end. */
function trace() {
  const parts: Uint8Array[] = [];
  const workload = workloadNamed('munmap-storm');
  generateTrace(workload, parseSizes(workload, { pages: '256', ops: '900' }), 1, {
    write: (bytes) => parts.push(bytes),
  });
  return openBytes(Buffer.concat(parts));
}

const sum = (chunks: readonly Chunk[], of: (chunk: Chunk) => number): number =>
  chunks.reduce((all, chunk) => all + of(chunk), 0);
const headsOf = (chunks: readonly Chunk[]): number[] => chunks.flatMap(({ heads }) => [...heads]);

test('the first records are those of the trace, with the events and pages that they refer to, and no others', () => {
  const whole = [...trace().chunks()];
  const records = sum(whole, (chunk) => chunk.records);
  expect(whole.length).toBeGreaterThan(1);
  const first = whole[0]!.records;
  for (const wanted of [1, 100, first - 1, first, first + 77, records, records + 1]) {
    const cut = [...firstRecords(trace(), wanted).chunks()];
    const kept = Math.min(wanted, records);
    expect({ wanted, records: sum(cut, (chunk) => chunk.records) }).toEqual({ wanted, records: kept });
    expect(headsOf(cut)).toEqual(headsOf(whole).slice(0, kept));
    const last = cut.at(-1)!;
    const used = [...last.heads].filter((head) => (head & HEAD_OP) === HEAD_EVENT).map((head) => head >>> HEAD_SHIFT);
    expect(last.events).toHaveLength(used.length);
    const ids = headsOf(cut).flatMap((head) => ((head & HEAD_OP) === HEAD_EVENT ? [] : [head >>> HEAD_SHIFT]));
    expect(sum(cut, (chunk) => chunk.pages.length)).toBe(ids.reduce((most, id) => Math.max(most, id + 1), 0));
  }
});
