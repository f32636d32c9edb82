import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../testing/cli.ts';
import { COSTS } from '../../testing/machine.ts';
import { contentOf, openBytes } from '../../testing/program.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy, withSetting } from '../catalog/catalog.ts';
import { loadRaces } from '../catalog/races.ts';
import { ScheduledEngine } from '../engine/scheduled.ts';
import { PROPERTY_NAMES } from '../model/log.ts';
import { type Race, SECOND_PROCESS } from '../model/race.ts';
import type { RawRun } from '../model/result.ts';
import { codec } from '../trace/input.ts';
import { mergeTraces } from '../trace/merge.ts';
import type { Trace } from '../trace/reader.ts';
import { ScheduledReader } from '../trace/scheduled.ts';
import { TextReader, textOf } from '../trace/text.ts';
import { TraceWriter } from '../trace/writer.ts';
import { traceable, traceSchedule } from './as-trace.ts';
import { type Cell, exploreCell, replay } from './explore.ts';

const release = engineModule('release');

const cellOf = (race: string, policy: string, machine: string): Cell => ({
  race: loadRaces([race])[0]!,
  policy: loadPolicy(policy),
  machine: loadMachine(machine),
  costs: COSTS,
});
/** What is written is a trace. */
function written(write: (sink: { write(bytes: Uint8Array): void }) => void): Trace {
  const parts: Uint8Array[] = [];
  write({ write: (bytes) => parts.push(bytes.slice()) });
  return openBytes(Buffer.concat(parts));
}
const traceOf = (cell: Cell, schedule: string): Trace => written((sink) => traceSchedule(cell, schedule, sink));

/** Runs a scheduled trace, in the build that checks. */
function run(trace: Trace, policy: string, name: string, ideal = false, hazard = 'none'): RawRun {
  const machine = withSetting(loadMachine(name), `machine.hazards=${hazard}`);
  const setup = { policy: loadPolicy(policy), machine, costs: COSTS, seed: 1, ideal };
  const rest = { frames: null, device: null, cpus: 1, lookahead: 0 };
  const engine = new ScheduledEngine(engineModule('checked'), { ...setup, ...rest }, trace.meta);
  for (const chunk of trace.chunks()) engine.feed(chunk);
  return engine.finish();
}
const brokenIn = ({ first }: RawRun): string | null => first && PROPERTY_NAMES[first.property]!;

describe('a counterexample runs in virtual time, and breaks what it broke', () => {
  const of = (policy: string, machine: string, races: string) =>
    races.split(' ').map((race) => [race, policy, machine] as const);
  test.each([
    ...of(
      'range-end',
      'amd-v2',
      'cow-refault cow-stale-read cow-two-pages lazyfree-batch madv-free-discard mismatch-refault mremap-reclaim unused-refault',
    ),
    ...of('range-end', 'intel-svm', 'cow-stale-read madv-free-discard mprotect-three-pages'),
    ...of('linux-4.14', 'amd-v2', 'mismatch-refault mremap-reclaim'),
    ...of('linux-4.14', 'intel-svm', 'mprotect-three-pages'),
    ...of('linux-4.12', 'kvm', 'mismatch-refault'),
    ...of('under-lock', 'conditional-shared', 'swap-write munmap-reuse'),
    ...of('batched', 'amd-v2', 'mkclean-io'),
    ...of('range-end-no-gather', 'amd-v2', 'munmap-table'),
  ])('%s under %s on %s', (race, policy, machine) => {
    const cell = cellOf(race, policy, machine);
    const { schedule, property } = exploreCell(cell, release, () => false)!;
    const trace = traceOf(cell, schedule);
    const got = run(trace, policy, machine);
    expect(got.schedule).toMatchObject({ passed: 0 });
    expect(brokenIn(got)).toBe(property);
    // The same page, by the drawing's own log.
    const replayed = replay(cell, schedule, release);
    expect(got.first!.page).toBe(replayed.steps.at(-1)!.events.find(({ kind }) => kind === 'broken')!.page);
    expect(got.first).toMatchObject({ record: trace.meta.counts.records - 1 });
    const opened = replayed.steps.flatMap(({ events }) => events.filter(({ what }) => what === 'opens'));
    expect(got.distributions.window!.count + got.openAtEnd).toBeGreaterThanOrEqual(opened.length);
    expect(got.elapsed).toBeGreaterThan(got.first!.at - got.first!.changed);
    // The machine whose stale entries vanish at once, and a policy under which the race holds, break nothing.
    expect(brokenIn(run(trace, policy, machine, true))).toBe(null);
    if (race !== 'mremap-reclaim') expect(brokenIn(run(trace, 'linux-4.15', 'amd-v2'))).toBe(null);
  });
});

/** A trace of the text form. */
const ofText = (text: string): Trace =>
  written((sink) => {
    const out = new TraceWriter(sink, codec);
    const reader = new TextReader('t', out);
    for (const line of text.trimEnd().split('\n')) reader.read(line);
    out.finish(reader.finish());
  });

describe('a PASID that another process gets, in a run by clocks alone', () => {
  const trace = ofText(readFileSync(join(ROOT, 'traces/samples/text/pasid-handover.txt'), 'utf8'));
  test.each([
    ['amd-v2', ['reuse-keeps-device-tlb', 'release-flushes-other-pasid']],
    ['amd-sva', ['reuse-keeps-device-tlb', 'release-flushes-other-pasid']],
    ['intel-svm', ['reuse-keeps-device-tlb', 'reuse-keeps-pasid-entry']],
    ['intel-sva', ['reuse-keeps-device-tlb', 'reuse-keeps-pasid-entry']],
  ])('%s: S2x breaks with %s, and does not without', (machine, hazards) => {
    for (const policy of ['linux-4.14', 'range-end', 'linux-6.6']) {
      const got = run(trace, policy, machine);
      expect(got.schedule, policy).toMatchObject({ taken: 0, passed: 0 });
      expect([brokenIn(got), got.counters.N_S2X, got.counters.N_DMA], policy).toEqual([null, 0, 6]);
      for (const hazard of hazards) {
        const broken = run(trace, policy, machine, false, hazard);
        expect([brokenIn(broken), broken.counters.N_S2X! > 0], `${policy}, ${hazard}`).toEqual(['S2x', true]);
      }
    }
  });
});

/** An access of a device: an address, whether it writes. */
type Touch = readonly [page: number, write: boolean];

/** A hand-over: the device uses addresses of the first process, which goes on, and then of the second. */
function handover(before: readonly Touch[], after: readonly Touch[]): Trace {
  const [first, second] = [4096, SECOND_PROCESS + 4096];
  const touch = (base: number, touches: readonly Touch[]): string[] =>
    touches.map(([page, write]) => `${write ? 'write' : 'read'} ${(base + page).toString(16)} 0 1`);
  const all = Array.from({ length: PAGES }, (_, page): Touch => [page, true]);
  const meta = { rules: {}, lines: 0, accepted: 0, rejected: 0, ignored: 0 };
  return ofText(
    [
      'iommulator trace text 1\nsource {"format":"written","file":"t"}',
      `tally ${JSON.stringify(meta)}\ninferred []\ninterleaved true\nschedule {"entries":8}`,
      'space "mm" mm\nagent "cpu0" cpu 0\nagent "cpu1" cpu 0\nagent "dev0" device 0',
      ...[first, second].map((base) => `mmap 0 0 0 ${base} ${base + PAGES} 3 0`),
      ...['by 0', ...touch(first, all), 'by 1', ...touch(second, all), 'started 0 0'],
      ...['by 2', ...touch(first, before), 'deactivate 2 0 0\nsignal 2 0 0'],
      ...['wait 0 0 0 0\nunbind 0 0 0\nsignal 0 0 1\nby 0', ...touch(first, all)],
      `wait 1 0 1 0\nbind 1 0 0 ${second}\nsignal 1 0 2`,
      ...['wait 2 0 2 0\nactivate 2 0 0\nby 2', ...touch(second, after)],
    ].join('\n'),
  );
}
const PAGES = 4;

test('S2x of a hand-over is counted once for each access by what was kept of the first process', () => {
  const touches = fc.array(fc.tuple(fc.nat(PAGES - 1), fc.boolean()), { minLength: 1, maxLength: 5 });
  /** What a hazard keeps: entries of device TLBs, or the tables that the IOMMU walks. */
  const kept = { none: 'nothing', 'reuse-keeps-device-tlb': 'entries', 'reuse-keeps-pasid-entry': 'tables' };
  const ofAmd = { ...kept, 'release-flushes-other-pasid': 'tables' };
  const cases = (machine: string, of: Partial<typeof ofAmd>) =>
    Object.entries(of).map(([hazard, keeps]) => ({ machine, hazard, keeps }));
  const { 'reuse-keeps-pasid-entry': _, ...amd } = ofAmd;
  const all = [
    ...cases('amd-v2', amd),
    ...cases('amd-sva', amd),
    ...cases('intel-svm', kept),
    ...cases('intel-sva', kept),
  ];
  const policies = fc.constantFrom('linux-4.14', 'range-end', 'under-lock', 'linux-6.6');
  const reached = new Map<string, number>();
  const property = fc.property(touches, touches, fc.constantFrom(...all), policies, (before, after, one, policy) => {
    const got = run(handover(before, after), policy, one.machine, false, one.hazard);
    const known = new Set(before.map(([page]) => page));
    const used = { nothing: 0, entries: after.filter(([page]) => known.has(page)).length, tables: after.length };
    const expected = used[one.keeps as keyof typeof used];
    expect([got.counters.N_S2X, brokenIn(got)], JSON.stringify(one)).toEqual([expected, expected > 0 ? 'S2x' : null]);
    expect(got.counters.N_DMA).toBe(before.length + after.length);
    reached.set(one.keeps, (reached.get(one.keeps) ?? 0) + expected);
  });
  fc.assert(property, { seed: 3, numRuns: 60, endOnFailure: true });
  expect(reached.get('entries')).toBeGreaterThan(10);
  expect(reached.get('tables')).toBeGreaterThan(10);
});

describe('a race as a trace', () => {
  /** A race without the words of its author. */
  const bare = ({ pages, start, agents, flags, active, splitWalks }: Race) => ({
    splitWalks,
    pages: pages.map(({ kind, vpn }) => ({ kind, vpn })),
    start: start.map(({ agent, action: { text: _, ...action } }) => ({ agent, action })),
    agents: agents.map(({ name, kind, actions }) => ({
      name,
      kind,
      actions: actions.map(({ text: _, ...rest }) => rest),
    })),
    flags: flags.length,
    active,
  });
  const read = (trace: Trace) => {
    const reader = new ScheduledReader(trace.meta);
    for (const chunk of trace.chunks()) reader.feed(chunk);
    return reader.finish();
  };

  test.each(loadRaces(['all']).flatMap(({ name, family }) => (family === 'mm' ? [name] : [])))(
    '%s comes back as it was, with its schedule, through text as well',
    (race) => {
      const cell = cellOf(race, 'range-end', 'amd-v2');
      const trace = traceOf(cell, '2:cpu0*3,iommu,link*2,cpu0');
      const back = read(trace);
      expect(bare(back.race)).toEqual(bare(cell.race));
      expect(back.turns.map(({ agent, steps }) => `${agent}*${steps}`)).toEqual([
        'cpu0*3',
        'iommu*1',
        'link*2',
        'cpu0*1',
      ]);
      expect(contentOf(ofText([...textOf(trace)].join('')))).toEqual(contentOf(trace));
    },
  );

  const HEAD = `iommulator trace text 1
source {"format":"race","file":"r"}
tally {"lines":0,"accepted":0,"rejected":0,"ignored":0,"rules":{}}
inferred []
interleaved true
`;
  const AGENTS = `schedule {"entries":2}
space "mm" mm
agent "cpu0" cpu 0
agent "dev0" device 0
`;
  test.each([
    [
      'space "mm" mm\nagent "cpu0" cpu 0\nturn 0 0 1 0',
      't:8: read "turn 0 0 1 0": event turn: stands in a trace without a schedule',
    ],
    ['schedule {"entries":0}', 't:6: schedule is not {"entries": 1..64}, with "walk": "split" or without'],
    [`${AGENTS}write 10 0 1`, 'record 0: uses page 0x10, which no mmap before it maps'],
    [
      `${AGENTS}mmap 0 0 0 1099511627780 1099511627781 3 0`,
      'record 0: maps page 0x10000000004 of a second process, expected the page at 0x4 to be mapped before it',
    ],
    [
      `${AGENTS}mmap 0 0 0 16 17 3 0\nmunmap 0 0 0 16 18`,
      'record 1: is of pages 0x10..0x12, not all of which an mmap before it maps',
    ],
    [`${AGENTS}mmap 0 0 0 16 17 3 0\nturn 0 0 1 5`, 'record 1: is a turn of 5, expected 0..4'],
    [`${AGENTS}mmap 0 0 0 16 17 3 0\ntimer 0 0 0`, 'record 1: is the event timer, which no agent of a race has'],
    [`${AGENTS}mmap 0 0 0 16 17 3 0\nmunmap 1 0 0 16 17`, 'r as a race:5:12: munmap is no action of a dev'],
    [`${AGENTS}mmap 0 0 0 0 4503599627370495 3 0`, 'record 0: maps page number 9, expected at most 8'],
    [
      `${AGENTS}agent "irq" cpu 0\nmmap 0 0 0 16 17 3 0`,
      'r: is scheduled, and has the agent "irq", expected cpu0, cpu1, .., kswapd or dev0',
    ],
    [
      `${AGENTS}mmap 0 0 0 16 17 3 0\nstarted 0 0\nwait 0 0 1 0`,
      'behind the schedule agents are left that wait for ever',
    ],
    [
      `${AGENTS}mmap 0 0 0 16 17 3 0\nwait 0 0 1 0\nstarted 0 0`,
      'race scheduled: await f1 of its start does not end, expected what waits for nobody',
    ],
  ])('%s is refused', (lines, message) => {
    expect(() => run(ofText(HEAD + lines), 'range-end', 'amd-v2')).toThrow(message);
  });

  test('a race of the DMA API is none', () => {
    expect(() => traceable(['dma-late-write'], { policies: ['lazy'], machines: ['amd-vi'] })).toThrow(
      'dma-late-write is of the DMA API',
    );
  });

  test('it cannot be merged with another', () => {
    const trace = traceOf(cellOf('munmap-reuse', 'range-end', 'amd-v2'), '2:cpu0');
    const merge = () => written((sink) => void mergeTraces([{ name: 'a', trace }], new TraceWriter(sink, codec)));
    expect(merge).toThrow('a: is scheduled: merged, its order would be lost');
  });
});
