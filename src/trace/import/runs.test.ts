import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codec } from '../input.ts';
import { FETCH, READ, TraceWriter, WRITE } from '../writer.ts';
import { Runs } from './runs.ts';

interface Access {
  readonly kind: number;
  readonly vpn: number;
  readonly more: number;
  /** Over 65535 the counts of a record are full; over 65536 records, a chunk is. */
  readonly times: number;
  /** An event of the agent's follows. */
  readonly event: boolean;
}

/** The bytes of a trace of `accesses`, told to the writer one by one or through runs. */
function written(accesses: readonly Access[], interleaved: boolean, throughRuns: boolean): string {
  const parts: Buffer[] = [];
  const out = new TraceWriter({ write: (bytes) => void parts.push(Buffer.from(bytes)) }, codec, interleaved);
  const space = out.space('mm', 'mm');
  const agent = out.agent('cpu0', 'cpu', space);
  const runs = new Runs(out, agent);
  for (const { kind, vpn, more, times, event } of accesses) {
    for (let i = 0; i < times; i++) {
      if (throughRuns) runs.touch(kind, vpn, more);
      else out.touch(agent, kind, vpn, more);
    }
    if (!event) continue;
    if (throughRuns) runs.settle();
    out.event(agent, 'munmap', [space, vpn, vpn + 1], 0);
  }
  if (throughRuns) runs.settle();
  const tally = { lines: 0, accepted: 0, rejected: 0, ignored: 0, rules: {} };
  out.finish({ source: { format: 'test', file: 'test' }, tally, inferred: [] });
  return Buffer.concat(parts).toString('hex');
}

const accesses = fc.array(
  fc.record({
    kind: fc.constantFrom(FETCH, READ, WRITE),
    vpn: fc.constantFrom(1, 2, 3),
    more: fc.constantFrom(0, 0, 0, 1),
    times: fc.constantFrom(1, 1, 1, 2, 300, 65_535, 65_536),
    event: fc.boolean(),
  }),
  { maxLength: 40 },
);

test('through runs or one by one: the same bytes', () => {
  fc.assert(
    fc.property(accesses, fc.boolean(), (list, interleaved) => {
      // A record for each access: fewer of them.
      const few = interleaved ? list.map((access) => ({ ...access, times: Math.min(access.times, 300) })) : list;
      expect(written(few, interleaved, true)).toBe(written(few, interleaved, false));
    }),
    { numRuns: 60 },
  );
});
