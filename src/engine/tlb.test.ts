import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openBytes, type Program, programs, stepsOf, writeProgram } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import {
  type CacheShape,
  INVALIDATES,
  NO_CACHE,
  REPLACEMENTS,
  STRADDLES,
  type TlbConfig,
  type TlbResult,
} from '../model/tlb.ts';
import { type EventName, MM_EVENTS } from '../model/trace.ts';
import { PAGE_SIZES } from '../model/units.ts';
import { referenceTlb } from '../reference/tlb.ts';
import { TlbEngine } from './tlb.ts';

type Event = Exclude<EventName, 'switch'>;

const cache = fc.record({
  sets: fc.integer({ min: 1, max: 13 }),
  // Of every form that a set of tags has: up to 4 ways, up to 12 or 16, more.
  ways: fc.oneof({ arbitrary: fc.integer({ min: 1, max: 7 }), weight: 3 }, fc.integer({ min: 8, max: 20 })),
  replacement: fc.constantFrom(...REPLACEMENTS),
});
const config: fc.Arbitrary<TlbConfig> = fc.record({
  l1d: cache,
  l1i: cache,
  l2: fc.oneof({ arbitrary: cache, weight: 4 }, { arbitrary: fc.constant(NO_CACHE), weight: 1 }),
  seed: fc.nat(1000),
  pageShift: fc.constantFrom(...Object.values(PAGE_SIZES), PAGE_SIZES['4K']),
  dataOnly: fc.boolean(),
  straddle: fc.constantFrom(...STRADDLES),
  invalidate: fc.constantFrom(...INVALIDATES),
});

// Few pages, so that they come again; some at the borders of larger pages, some far up.
const vpn = fc.oneof(
  fc.nat(40),
  fc.integer({ min: 508, max: 515 }),
  fc.constantFrom(1 << 18, (1 << 18) - 1, 2 ** 45 - 1, 2 ** 45 - 512, 2 ** 36),
);
const BY_NAME: Record<string, fc.Arbitrary<number>> = {
  prot: fc.nat(7),
  flags: fc.nat(15),
  advice: fc.constantFrom(3, 4, 8),
};
const draw = {
  vpn,
  events: [...MM_EVENTS, 'idle', 'signal'] as Event[],
  field: (_: EventName, name: string) => BY_NAME[name] ?? fc.oneof(fc.nat(60), fc.nat(600)),
  steps: 600,
};
const program = fc.oneof(programs({ ...draw, agents: 1 }), programs({ ...draw, agents: 3, interleaved: true }));

const lru = (sets: number, ways: number): CacheShape => ({ sets, ways, replacement: 'lru' });

function runEngine(module: WebAssembly.Module, config: TlbConfig, program: Program): TlbResult {
  const trace = openBytes(writeProgram(program));
  const engine = new TlbEngine(module, config, trace.meta);
  for (const chunk of trace.chunks()) engine.feed(chunk);
  return engine.result();
}

const ONE: TlbConfig = {
  l1d: lru(1, 1),
  l1i: lru(1, 1),
  l2: NO_CACHE,
  seed: 1,
  pageShift: 12,
  dataOnly: false,
  straddle: 'both',
  invalidate: 'none',
};

describe.each(BUILDS)('%s engine', (build) => {
  const module = engineModule(build);

  test('counts as the reference does, whatever the program and the geometry', () => {
    const reached = {
      hits: 0,
      misses: 0,
      evictions: 0,
      invalidations: 0,
      straddles: 0,
      l2Hits: 0,
      refills: 0,
      merged: 0,
    };
    fc.assert(
      fc.property(program, config, (program, config) => {
        const result = runEngine(module, config, program);
        expect(result).toEqual(referenceTlb(config, stepsOf(program)));

        const { l1d, l1i, l2 } = result;
        const misses = l1d.misses + l1i.misses;
        reached.hits += l1d.accesses + l1i.accesses - misses;
        reached.misses += misses;
        reached.l2Hits += l2.accesses - l2.misses;
        reached.invalidations += l1d.invalidated + l1i.invalidated + l2.invalidated;
        // A page missed twice in L2 was evicted or invalidated in between.
        reached.refills += Math.max(0, l2.misses - result.pages);
        if (config.invalidate === 'none') reached.evictions += Math.max(0, l2.misses - result.pages);
        const straddling =
          config.straddle === 'both' && program.steps.some((step) => 'access' in step && step.straddle);
        reached.straddles += straddling ? 1 : 0;
        reached.merged += program.interleaved ? 0 : 1;
      }),
      { seed: 11, numRuns: 800 },
    );
    for (const [what, times] of Object.entries(reached)) expect(times, what).toBeGreaterThan(100);
  });

  test('more than a chunk, runs beyond their counters, and times made small on the way', () => {
    const steps: Program['steps'][number][] = [];
    for (let i = 0; i < 260_000; i++) {
      const long = i > 100_000 && i < 240_000;
      const access = i % 3 === 0 ? 'fetch' : i % 3 === 1 ? 'read' : 'write';
      steps.push({ access, agent: 0, vpn: long ? i % 2 : (i * 7919) % 2003, straddle: i % 991 === 0 });
      if (i % 9973 === 0) steps.push({ event: 'munmap', agent: 0, fields: [0, i % 1000, (i % 1000) + 40], gap: 0 });
    }
    const program = { interleaved: false, spaces: 1, agents: [0], steps };
    const config: TlbConfig = {
      l1d: lru(16, 4),
      l1i: lru(7, 3),
      l2: lru(100, 6),
      seed: 1,
      pageShift: 12,
      dataOnly: false,
      straddle: 'both',
      invalidate: 'all',
    };
    const result = runEngine(module, config, program);
    expect(result).toEqual(referenceTlb(config, stepsOf(program)));
    expect(result.l2.invalidated).toBeGreaterThan(100);
  });

  test('refuses merged runs of several agents: they share one cache', () => {
    const access = (agent: number) => ({ access: 'read' as const, agent, vpn: agent, straddle: false });
    const steps = [access(0), access(1), access(0), access(0)];
    const program = { interleaved: false, spaces: 1, agents: [0, 0], steps };
    expect(() => runEngine(module, ONE, program)).toThrow('the runs of several agents are merged');
    expect(runEngine(module, ONE, { ...program, interleaved: true }).l1d).toMatchObject({ accesses: 4, misses: 3 });
  });

  test('an empty trace has no accesses', () => {
    const nothing = { accesses: 0, misses: 0, invalidated: 0 };
    const program = { interleaved: false, spaces: 1, agents: [0], steps: [] };
    expect(runEngine(module, ONE, program)).toEqual({ l1d: nothing, l1i: nothing, l2: nothing, pages: 0 });
  });
});

// One build is enough for what takes a gigabyte: they differ in assertions.
test('pages that need more memory than there is are refused before the run', () => {
  const trace = openBytes(writeProgram({ interleaved: false, spaces: 1, agents: [0], steps: [] }));
  const counts = { ...trace.meta.counts, pages: 2 ** 27 };
  const large = {
    ...ONE,
    l1d: lru(1024, 1024),
    l1i: lru(1024, 1024),
    l2: lru(1024, 1024),
  };
  const config = { ...large, pageShift: 12 };
  const make = (pages: number) =>
    new TlbEngine(engineModule('release'), config, { ...trace.meta, counts: { ...counts, pages } });
  expect(() => make(2 ** 25)).not.toThrow();
  expect(() => make(2 ** 27)).toThrow('need more memory than an engine may have');
});
