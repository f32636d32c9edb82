import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { iommulator, withFolder } from '../../../testing/cli.ts';
import { UsageError } from '../../model/errors.ts';
import type { RunResult } from '../../model/result.ts';
import { parseStretch } from '../../model/timeline.ts';
import { Commands } from './commands.ts';
import { Drawing, type TraceEvent } from './trace-event.ts';

/** The events that are written, as "Trace Event Format" has them: which fields each phase has, and no others. */
const text = { type: 'string', minLength: 1 };
const number = { type: 'number', minimum: 0 };
const whole = { type: 'integer', minimum: 0 };
const args = { type: 'object', additionalProperties: { type: ['string', 'number'] } };
const phase = (ph: string, fields: Record<string, unknown>, optional: readonly string[] = []) => {
  const properties: Record<string, unknown> = { ph: { const: ph }, name: text, pid: whole, tid: whole, ...fields };
  return {
    type: 'object',
    properties,
    required: Object.keys(properties).filter((key) => !optional.includes(key)),
    additionalProperties: false,
  };
};
const metadata = (name: string, key: string, value: unknown) =>
  phase('M', {
    name: { const: name },
    args: { type: 'object', properties: { [key]: value }, required: [key], additionalProperties: false },
  });
const span = { cat: text, id: text, ts: number };
const valid = new Ajv({ allowUnionTypes: true }).compile({
  type: 'object',
  required: ['displayTimeUnit', 'otherData', 'traceEvents'],
  additionalProperties: false,
  properties: {
    displayTimeUnit: { const: 'ns' },
    otherData: args,
    traceEvents: {
      type: 'array',
      items: {
        anyOf: [
          metadata('process_name', 'name', text),
          metadata('thread_name', 'name', text),
          metadata('process_sort_index', 'sort_index', whole),
          metadata('thread_sort_index', 'sort_index', whole),
          phase('X', { cat: text, ts: number, dur: number, args }, ['args']),
          phase('i', { cat: text, ts: number, s: { const: 't' }, args }, ['args']),
          phase('C', { ts: number, args: { type: 'object', additionalProperties: whole, minProperties: 1 } }),
          phase('b', { ...span, args }, ['args']),
          phase('n', span),
          phase('e', span),
          phase('s', { cat: text, id: whole, ts: number }),
          phase('t', { cat: text, id: whole, ts: number }),
          phase('f', { cat: text, id: whole, ts: number, bp: { const: 'e' } }),
        ],
      },
    },
  },
});

type Phase<P extends string> = Extract<TraceEvent, { ph: P }>;
const of = <P extends TraceEvent['ph']>(events: readonly TraceEvent[], ph: P) =>
  events.filter((event): event is Phase<P> => event.ph === ph);

/** Runs `timeline` with these words; holds that what it writes is a trace that viewers open as it is meant. */
async function timeline(words: readonly string[]): Promise<{ events: TraceEvent[]; said: string; bytes: Uint8Array }> {
  return withFolder((folder) => {
    const { code, stdout, stderr } = iommulator(['timeline', ...words, '-o', 't.json.gz'], folder);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    const bytes = readFileSync(join(folder, 't.json.gz'));
    const trace = JSON.parse(gunzipSync(bytes).toString()) as { traceEvents: TraceEvent[] };
    expect(valid(trace), JSON.stringify(valid.errors?.slice(0, 3))).toBe(true);
    holdsTogether(trace.traceEvents);
    return { events: trace.traceEvents, said: stderr, bytes };
  });
}

/** Slices of a track lie in or behind each other; arrows and spans have both ends; every track has a name. */
function holdsTogether(events: readonly TraceEvent[]): void {
  const track = ({ pid, tid }: { pid: number; tid: number }): string => `${pid}/${tid}`;
  const named = new Set(of(events, 'M').flatMap((event) => (event.name === 'thread_name' ? [track(event)] : [])));
  const slices = of(events, 'X');
  // As Perfetto reads it: json_utils.cc, CoerceToTs.
  const ns = (us: number): number => Math.trunc(us * 1000);
  const open = new Map<string, number[]>();
  for (const slice of slices) {
    expect(named).toContain(track(slice));
    const ends = open.get(track(slice)) ?? [];
    const [from, to] = [ns(slice.ts), ns(slice.ts) + ns(slice.dur)];
    while (ends.length > 0 && ends.at(-1)! <= from) ends.pop();
    if (ends.length > 0) expect(to, JSON.stringify(slice)).toBeLessThanOrEqual(ends.at(-1)!);
    ends.push(to);
    open.set(track(slice), ends);
  }
  const begins = new Set(slices.map((slice) => `${track(slice)} ${slice.ts}`));
  const arrows = [...of(events, 's'), ...of(events, 't'), ...of(events, 'f')];
  for (const arrow of arrows) expect(begins, JSON.stringify(arrow)).toContain(`${track(arrow)} ${arrow.ts}`);
  const ids = (ph: 's' | 't' | 'f' | 'b' | 'e') => of(events, ph).map(({ id }) => id);
  expect([...ids('f')].sort()).toEqual([...ids('s')].sort());
  expect([...ids('e')].sort()).toEqual([...ids('b')].sort());
  expect(of(events, 'C').every((one) => Object.values(one.args).every((value) => value >= 0))).toBe(true);
}

const LAZY = ['vtd-edu-stale-lazy-icount', '--policy', 'lazy', '--machine', 'intel-vtd'];

describe('the lazy trace with stale DMA', () => {
  test('shows the window of the page that is written to, and the access in it', async () => {
    const { events, said, bytes } = await timeline(LAZY);
    expect(Buffer.compare(bytes, (await timeline(LAZY)).bytes)).toBe(0);
    // Of no system: the header would differ.
    expect(bytes[9]).toBe(255);
    expect(said).toMatch(/^around the first: a property breaks, at [\d.]+ ms\n$/);
    const broken = of(events, 'n').find(({ name }) => name === 'S1 breaks')!;
    const window = of(events, 'b').find(({ id }) => id === broken.id)!;
    const closed = of(events, 'e').find(({ id }) => id === broken.id)!;
    const stale = of(events, 'X').find(({ cat }) => cat === 'stale')!;
    expect(window.name).toBe('stale copies');
    expect(stale.name).toBe('write: lands by old entry');
    expect(stale.args).toEqual(window.args);
    expect(window.ts).toBeLessThan(stale.ts);
    expect(stale.ts + stale.dur).toBeLessThan(closed.ts);
    // From the unmap to the flush of the domain by the timer, and to its completion.
    const [begin] = of(events, 's').filter(({ ts }) => ts === window.ts);
    const at = (ph: 't' | 'f') => of(events, ph).find(({ id }) => id === begin!.id)!;
    const under = (arrow: { pid: number; tid: number; ts: number }) =>
      of(events, 'X').find(({ pid, tid, ts }) => pid === arrow.pid && tid === arrow.tid && ts === arrow.ts)!.name;
    expect([begin!, at('t'), at('f')].map(under)).toEqual(['dma_unmap of mapping 39', 'iotlb.domain', 'wait']);
    expect(at('f').ts).toBe(closed.ts);
  });

  test('has, from end to end, what the run counted', async () => {
    const { runs } = JSON.parse(iommulator(['run', ...LAZY, '--format', 'json']).stdout) as { runs: RunResult[] };
    const { cost, safety } = runs[0]!;
    const { events, said } = await timeline([...LAZY, '--from', '0ns']);
    expect(said).toBe('');
    const named = (ph: 'X' | 'b', name: string) => of(events, ph).filter((event) => event.name === name);
    const { iotlb_domain, wait, queued } = cost.invalidations;
    expect(named('X', 'iotlb.domain').filter(({ cat }) => cat === 'command')).toHaveLength(iotlb_domain!);
    expect(named('X', 'wait').filter(({ cat }) => cat === 'command')).toHaveLength(wait!);
    expect(of(events, 'X').filter(({ cat }) => cat === 'call')).toHaveLength(
      cost.paths.map!.count + cost.paths.unmap!.count,
    );
    expect(of(events, 'X').filter(({ cat }) => cat === 'stale')).toHaveLength(safety.stale_uses);
    expect(of(events, 'n')).toHaveLength(safety.violations.S1!);
    expect(named('b', 'stale copies')).toHaveLength(safety.window_ns.count + safety.open_at_end);
    expect(named('b', 'stale copies that must not be used')).toHaveLength(safety.exposures);
    const ends = new Map(of(events, 'e').map(({ id, ts }) => [id, ts]));
    const open = named('b', 'stale copies').reduce(
      (sum, event) => sum + ends.get((event as Phase<'b'>).id)! - event.ts,
      0,
    );
    expect(Math.abs(open * 1000 - safety.window_ns.sum)).toBeLessThan(safety.window_ns.count);
    // Counters rise by one with each unmap that is put off.
    const levels = of(events, 'C').filter(({ name }) => name.startsWith('unmaps in the flush queue'));
    const rises = levels.filter((event, i) => {
      const before = levels.slice(0, i).findLast(({ name }) => name === event.name);
      return event.args[event.name]! > (before?.args[event.name] ?? 0);
    });
    expect(rises).toHaveLength(queued!);
  });
});

test('an address space: paths and their steps, locks, the queue, ATS requests', async () => {
  const { events } = await timeline([
    'sqlite',
    '--policy',
    'under-lock',
    '--machine',
    'amd-v2',
    '--around',
    'window:2',
  ]);
  const cats = new Set(of(events, 'X').map(({ cat }) => cat));
  expect(['path', 'step', 'lock', 'queue', 'command', 'access', 'translation'].filter((cat) => !cats.has(cat))).toEqual(
    [],
  );
  const slices = of(events, 'X');
  const step = slices.find(({ name, cat }) => cat === 'step' && /^invalidat/.test(name))!;
  // Under the lock: the invalidation lies within a hold of a page-table lock by the same agent.
  const names = new Map(of(events, 'M').map((event) => [`${event.name} ${event.tid}`, event.args]));
  const agent = names.get(`thread_name ${step.tid}`) as { name: string };
  const holds = slices.filter(({ cat, ts, dur }) => cat === 'lock' && ts <= step.ts && ts + dur >= step.ts + step.dur);
  const owners = holds.filter(({ name }) => agent.name.startsWith(name.slice('held by '.length)));
  const locks = owners.map(({ tid }) => (names.get(`thread_name ${tid}`) as { name: string }).name);
  expect(locks.some((name) => name.startsWith('page-table lock '))).toBe(true);
  const request = slices.find(({ name }) => name === 'device TLB invalidation')!;
  expect(request.dur).toBeCloseTo(1.5, 3);
});

test('an inner slice that ends with its outer one does so in whole nanoseconds, too', () => {
  const drawing = new Drawing();
  const track = { pid: 1, tid: 1 };
  // 1001 / 1000 * 1000 is less than 1001.
  for (let ns = 1; ns < 4000; ns++) {
    const from = ns * 4_000_000;
    drawing.slice(track, from, from + ns * 1000, 'outer', 'test');
    drawing.slice(track, from + 999, from + ns * 1000, 'inner', 'test');
  }
  const nanoseconds = (us: number): number => Math.trunc(us * 1000);
  of(drawing.events, 'X').forEach(({ ts, dur }, i) => {
    const ns = Math.floor(i / 2) + 1;
    expect([nanoseconds(ts), nanoseconds(dur)]).toEqual([ns * 4000, ns]);
  });
});

test('a command that is refused, and what is carried out in its place', () => {
  const drawing = new Drawing();
  const commands = new Commands(drawing, 3, 1, 9000);
  const rows = [[1000, '', 'queued'], [1000, 'iotlb.page', 'refused'], [3000, 'wait', 'fetched'], [3000, 'wait', 'sent'], [8000, 'wait', 'done']] as const; // biome-ignore format: a table
  for (const [at, what, detail] of rows)
    commands.see({ kind: 'command', agent: 0, at, page: null, what, detail, number: 5 });
  commands.end();
  const slices = of(drawing.events, 'X').map(({ name, ts, dur }) => [name, ts, dur]);
  expect(slices).toEqual([
    ['iotlb.page', 0.001, 0],
    ['refused: iotlb.page', 0.001, 0],
    ['wait', 0.001, 0.002],
    ['wait', 0.003, 0.005],
  ]);
});

describe('what cannot be drawn is said in one line', () => {
  // Options, and the line.
  const CASES: [options: Parameters<typeof parseStretch>[0], said: string][] = [
    [{ around: 'noon' }, '--around is "noon", expected broken, due, stale, window, or which of them: broken:3'],
    [{ around: 'due:0' }, '--around is "due:0", expected broken, due, stale, window, or which of them: broken:3'],
    [{ around: 'toString' }, '--around is "toString", expected broken, due, stale, window, or which of them: broken:3'],
    [{ around: 'due', to: '1ms' }, '--around chooses the stretch, expected no --from and no --to beside it'],
    [{ from: '5' }, '--from is "5", expected a time of the run such as 12.5ms'],
    [{ from: '2ms', to: '1ms' }, '--from 2ms is not before --to 1ms'],
  ];
  for (const [options, said] of CASES) {
    test(said, () => expect(() => parseStretch(options)).toThrow(new UsageError(said)));
  }
  // Words of the command, and the line.
  const COMMANDS: [words: string[], said: string][] = [
    [
      ['--policy', 'strict', '--around', 'broken'],
      '--around broken: it does not happen in this run (a property breaks)',
    ],
    [['--policies', 'strict,lazy'], 'timeline takes one policy and one machine; `compare` takes several'],
  ];
  for (const [words, said] of COMMANDS) {
    test(words.join(' '), () =>
      withFolder((folder) => {
        const ran = iommulator(['timeline', 'vtd-edu-stale-lazy-icount', ...words, '-o', 't.json'], folder);
        expect(ran).toEqual({ code: 2, stdout: '', stderr: `iommulator: ${said}\n` });
        expect(readdirSync(folder)).toEqual([]);
      }),
    );
  }
});
