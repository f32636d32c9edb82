import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COSTS, costsWith, runEngine, runReference, traceOf, variant } from '../../testing/machine.ts';
import type { Step } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import type { CostKey } from '../model/cost.ts';
import type { PathName } from '../model/path.ts';
import type { Policy } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, type RunSetup } from '../model/run.ts';

type Access = 'fetch' | 'read' | 'write';

const access = (kind: Access, ...vpns: number[]): Step[] =>
  vpns.map((vpn) => ({ access: kind, agent: 0, vpn, straddle: false }));
const event = (op: 'mmap' | 'munmap' | 'mremap' | 'mprotect' | 'madvise', ...fields: number[]): Step[] => [
  { event: op, agent: 0, gap: 0, fields },
];
const upTo = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

const DONTNEED = 4;
const FREE = 8;
const FILE = 2;
const READ = 1;

/** More pages than there are frames, so that what was used before is reclaimed; reading some back gives it time to end. */
const PRESSURE = [...access('write', ...upTo(5000, 5100)), ...access('read', ...upTo(5000, 5004))];
const FEW_FRAMES = 64;

/** A program that runs one path, apart from faults; and whether memory has to be short for it. */
const DRIVE: Readonly<Record<PathName, { readonly steps: Step[]; readonly frames: number | null }>> = {
  reclaim_swap: { steps: PRESSURE, frames: FEW_FRAMES },
  reclaim_file: {
    steps: [...event('mmap', 0, 5000, 5100, 3, FILE), ...access('read', ...upTo(5000, 5100), ...upTo(5000, 5004))],
    frames: FEW_FRAMES,
  },
  reclaim_lazyfree: {
    steps: [...access('write', ...upTo(10, 20)), ...event('madvise', 0, 10, 20, FREE), ...PRESSURE],
    frames: FEW_FRAMES,
  },
  reclaim_redirtied: {
    steps: [
      ...access('write', ...upTo(10, 20)),
      ...event('madvise', 0, 10, 20, FREE),
      ...access('write', ...upTo(10, 20)),
      ...PRESSURE,
    ],
    frames: FEW_FRAMES,
  },
  cow: { steps: [...access('read', 10, 11, 12), ...access('write', 10, 11, 12)], frames: null },
  munmap: { steps: [...access('write', 10), ...event('munmap', 0, 10, 11)], frames: null },
  dontneed: { steps: [...access('write', 10), ...event('madvise', 0, 10, 11, DONTNEED)], frames: null },
  madv_free: { steps: [...access('write', 10), ...event('madvise', 0, 10, 11, FREE)], frames: null },
  mprotect: { steps: [...access('write', 10), ...event('mprotect', 0, 10, 11, READ)], frames: null },
  mremap: {
    steps: [...access('write', 10), ...event('mremap', 0, 10, 11, 700, 701), ...access('write', 700)],
    frames: null,
  },
};

const QUIET: RunSetup = {
  policy: loadPolicy('range-end'),
  machine: loadMachine('amd-v2'),
  costs: COSTS,
  seed: 1,
  frames: null,
  device: null,
  ideal: false,
  lookahead: DEFAULT_LOOKAHEAD,
};

describe.each(BUILDS)('%s engine', (build) => {
  const module = engineModule(build);
  /** In both; their numbers agree. */
  const run = (steps: Step[], change: Partial<RunSetup>): RawRun => {
    const trace = traceOf(steps);
    const setup = { ...QUIET, ...change };
    const engine = runEngine(module, setup, trace)!;
    expect(engine.raw).toEqual(runReference(setup, trace)!.raw);
    return engine.raw;
  };

  describe('secondary invalidations per page, or per lock hold of a range', () => {
    const table = readFileSync(new URL('../../traces/outside/secondary-invalidations.tsv', import.meta.url), 'utf8');
    const [header, ...rows] = table
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split('\t'));
    const policies = header!.slice(1);
    const cases = rows.flatMap(([path, ...counts]) =>
      counts.map((count, i): [string, PathName, number] => [policies[i]!, path as PathName, Number(count)]),
    );

    test.each(cases)('%s: %s takes %i', (policy, path, count) => {
      const { steps, frames } = DRIVE[path];
      const { paths, counters } = run(steps, { policy: loadPolicy(policy), frames });
      const { count: times, pages, invalidations } = paths[path]!;
      expect(times).toBeGreaterThan(0);
      expect({ pages, invalidations }).toEqual({ pages: times, invalidations: times * count });
      expect(counters.N_SECONDARY).toBe(Object.values(paths).reduce((sum, row) => sum + row.invalidations, 0));
    });
  });

  test('under-lock costs what range-end costs, cause by cause, where one step moves and nobody waits or looks', () => {
    const moved: PathName[] = ['cow', 'mprotect', 'mremap', 'reclaim_swap', 'reclaim_file', 'reclaim_lazyfree'];
    for (const path of [...moved, 'reclaim_redirtied'] as PathName[]) {
      const { steps, frames } = DRIVE[path];
      // What reclaim takes lies in tables of its own, so that nobody waits for a lock.
      const [under, end] = ['under-lock', 'range-end'].map((name) => run(steps, { policy: loadPolicy(name), frames }));
      if (under!.counters.N_LOCK_WAITS === 0 && end!.counters.N_LOCK_WAITS === 0)
        expect({ path, causes: under!.causes }).toEqual({ path, causes: end!.causes });
      else expect(path).toMatch(/^reclaim_/);
    }
  });

  test('the time of the CPU is the sum of its causes', () => {
    for (const { steps } of Object.values(DRIVE)) {
      const { elapsed, causes } = run(steps, {});
      expect(Object.values(causes).reduce((sum, ps) => sum + ps, 0)).toBe(elapsed);
    }
  });

  const OWN: Partial<Record<CostKey, string>> = {
    'cpu.fetch': 'compute',
    'cpu.l2_hit': 'l2',
    'cpu.walk_ref_leaf': 'walk',
    'cpu.walk_ref_upper': 'walk',
    'cpu.invlpg': 'cpu_flush',
    'cpu.flush_full': 'cpu_flush',
    'syscall.entry': 'syscall',
    'ptl.acquire': 'lock',
    'ptl.release': 'lock',
    'pte.clear': 'pte',
    'pte.set': 'pte',
    'rmap.remove': 'rmap',
    'page.put': 'rmap',
    'page.free': 'free',
    'page.copy': 'page_copy',
    'page.zero': 'page_copy',
    'notifier.start': 'notifier',
    'notifier.end': 'notifier',
    'fault.minor': 'fault',
    'qi.submit': 'submit',
    'qi.wait': 'wait',
    'device_tlb.inv': 'wait',
  };
  const large = [...access('write', ...upTo(100, 140)), ...event('munmap', 0, 100, 140)];
  const varied = traceOf([
    ...Object.values(DRIVE).flatMap((drive) => drive.steps),
    ...large,
    ...access('fetch', ...upTo(10, 300), 10, 11),
  ]);
  const causesWith = (...changes: [CostKey, number][]): RawRun['causes'] => {
    const setup = { ...QUIET, machine: loadMachine('intel-svm-nodis'), costs: costsWith(changes) };
    return runEngine(module, setup, varied)!.raw.causes;
  };
  test.each(Object.entries(OWN))('%s at 0 takes time from %s and from nothing else', (key, cause) => {
    const dear = causesWith();
    const free = causesWith([key as CostKey, 0]);
    expect(free[cause]).toBeLessThan(dear[cause]!);
    expect({ ...free, [cause]: 0 }).toEqual({ ...dear, [cause]: 0 });
  });

  describe('the deferral, no device at work', () => {
    const twoUnmaps = [...access('write', 10, 20), ...event('munmap', 0, 10, 11), ...event('munmap', 0, 20, 21)];
    const machine = loadMachine('intel-svm');

    test('the first invalidation of an idle period is put off, the second is not', () => {
      const { counters } = run(twoUnmaps, { machine, policy: loadPolicy('linux-6.6') });
      expect(counters).toMatchObject({ N_SECONDARY: 2, N_DEFERRED: 1, N_DEVICE_TLB: 1 });
    });
    test('linux-4.14 defeats it: its second invalidation of the first unmap is carried out', () => {
      const once = run(twoUnmaps.slice(0, 3), { machine, policy: loadPolicy('linux-4.14') });
      expect(once.counters).toMatchObject({ N_SECONDARY: 2, N_DEFERRED: 1, N_DEVICE_TLB: 1 });
    });
    test('without it every invalidation is carried out', () => {
      const { counters } = run(twoUnmaps, { machine: loadMachine('intel-svm-nodis'), policy: loadPolicy('linux-6.6') });
      expect(counters).toMatchObject({ N_SECONDARY: 2, N_DEFERRED: 0, N_DEVICE_TLB: 2 });
    });
  });

  describe('a device at work on pages that are unmapped', () => {
    const storm = upTo(0, 60).flatMap((round) => {
      const vpns = upTo(10 + (round % 7) * 3, 13 + (round % 7) * 3);
      return [...access('write', ...vpns, ...vpns), ...event('munmap', 0, vpns[0]!, vpns[2]! + 1)];
    });
    const device = { every: 1, write: 0.5, active: 1e9, idle: 0, ats: true };
    // A device fast enough to be at work on pages when they go.
    const costs = costsWith([
      ['device.think', 20],
      ['device.page_request', 100],
      ['ats.translation', 100],
      ['iommu.walk_start', 20],
    ]);
    const { paths } = loadPolicy('range-end').mm!;
    const freeFirst = variant('range-end', 'free first', {
      munmap: paths.munmap.text.replace('UL } RE! CF SI FREE', 'UL } FREE RE! CF SI'),
    });
    const stormed = (policy: Policy, change: Partial<RunSetup> = {}) =>
      run(storm, { device, costs, policy, ...change });

    test('range-end is safe, and unsafe once the frames are freed before the flush', () => {
      const safe = stormed(loadPolicy('range-end')).counters;
      const unsafe = stormed(freeFirst).counters;
      expect(safe.N_STALE).toBeGreaterThan(0);
      expect([safe.N_S1_READ, safe.N_S1_WRITE, safe.N_S2, safe.N_S3, safe.N_EXPOSED]).toEqual([0, 0, 0, 0, 0]);
      expect(unsafe.N_S1_READ! + unsafe.N_S1_WRITE!).toBeGreaterThan(0);
    });

    test.each(['linux-4.14', 'linux-4.15', 'linux-6.6', 'under-lock'])('%s is safe, with ATS and without', (policy) => {
      for (const ats of [true, false]) {
        const { counters } = stormed(loadPolicy(policy), { device: { ...device, ats } });
        expect(counters.N_DMA).toBeGreaterThan(50);
        expect([counters.N_S1_READ, counters.N_S1_WRITE, counters.N_S2, counters.N_EXPOSED]).toEqual([0, 0, 0, 0]);
      }
    });

    test('how far hits may run ahead changes no number', () => {
      expect(stormed(freeFirst, { lookahead: 0, frames: 60 })).toEqual(stormed(freeFirst, { frames: 60 }));
    });
  });
});
