import fc from 'fast-check';
import { expect, test } from 'vitest';
import { columnsOf } from '../../../testing/machine.ts';
import { openBytes, type Step, writeProgram } from '../../../testing/program.ts';
import { recordsOf } from '../records.ts';
import { Dealer, type Piece } from './deal.ts';

const access = fc.record({
  access: fc.constantFrom('fetch', 'fetch', 'read', 'write'),
  agent: fc.constant(0),
  vpn: fc.nat(3),
  straddle: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
const event = fc.constant({ event: 'munmap', agent: 0, gap: 0, fields: [0, 1, 2] });
const steps = fc.array(fc.oneof({ arbitrary: access, weight: 9 }, { arbitrary: event, weight: 1 }), { maxLength: 120 });

/** Accesses of a piece, one by one: kind and page; and that every count goes on with a run that is open. */
function accessesOf(piece: Piece): string[] {
  const { records, events } = piece;
  const list: string[] = [];
  let open: { fetch?: number; data?: number; writes?: boolean } = {};
  const chunk = { records, ...columnsOf(piece), events, agent: 0 };
  for (const record of recordsOf(chunk as never, [])) {
    if ('event' in record) {
      open = {};
      continue;
    }
    const { op, page, fetches, datas } = record.run;
    if (op === 'fetch') open.fetch = page;
    else open = { ...open, data: page, writes: op === 'write' };
    expect(fetches + datas).toBeGreaterThan(0);
    for (let i = 0; i < fetches; i++) list.push(`fetch ${open.fetch}`);
    // The first of a run that began with a write writes, as all that go on with it may.
    for (let i = 0; i < datas; i++) list.push(`data ${open.data} ${open.writes}`);
  }
  expect(list.some((text) => text.includes('undefined'))).toBe(false);
  return list;
}

test('dealt to several CPUs, a program makes the accesses that it makes on one', () => {
  const property = fc.property(
    steps,
    fc.integer({ min: 2, max: 4 }),
    fc.integer({ min: 1, max: 9 }),
    (steps, cpus, deal) => {
      const trace = openBytes(writeProgram({ interleaved: false, spaces: 1, agents: [0], steps: steps as Step[] }));
      const [whole, dealt] = [new Dealer(trace.meta.agents, 1), new Dealer(trace.meta.agents, cpus, deal)];
      for (const chunk of trace.chunks()) {
        const [one] = whole.pieces(chunk, undefined);
        const pieces = dealt.pieces(chunk, undefined);
        expect(pieces.flatMap(accessesOf).sort()).toEqual(accessesOf(one!).sort());
        expect(pieces.flatMap(({ events }) => events)).toHaveLength(chunk.events.length);
        expect(new Set(pieces.map(({ cpu }) => cpu)).size).toBe(Math.min(cpus, Math.ceil(chunk.records / deal)));
      }
    },
  );
  fc.assert(property, { seed: 3, numRuns: 200 });
});

test('work for the device follows the record that it was posted at', () => {
  const read = (vpn: number): Step => ({ access: 'read', agent: 0, vpn, straddle: false });
  const trace = openBytes(
    writeProgram({ interleaved: false, spaces: 1, agents: [0], steps: [1, 2, 3, 4, 5].map(read) }),
  );
  const [chunk] = [...trace.chunks()];
  const pieces = new Dealer(trace.meta.agents, 2, 2).pieces(chunk!, Uint32Array.of(0, 10, 2, 12, 4, 14));
  // Records 0, 1, 4 are the first CPU's, 2 and 3 the second's.
  expect(pieces.map(({ posts }) => [...posts])).toEqual([
    [0, 10, 2, 14],
    [0, 12],
  ]);
});
