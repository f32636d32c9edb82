import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COSTS, costsWith, runEngine, runReference, variant } from '../../testing/machine.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { listPolicies, loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { type Act, countInvalidations, PROBES, traceOfActs } from '../jobs/probe.ts';
import type { CostKey } from '../model/cost.ts';
import { PATH_NAMES, type PathName } from '../model/path.ts';
import type { Policy } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, type RunSetup } from '../model/run.ts';
import { countsGrid } from '../report/catalog.ts';
import type { Trace } from '../trace/reader.ts';

const access = (kind: 'fetch' | 'write', ...vpns: number[]): Act[] => vpns.map((vpn) => ({ access: kind, vpn }));
const unmap = (first: number, end: number): Act[] => [{ event: 'munmap', fields: [0, first, end] }];
const upTo = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

const QUIET: RunSetup = {
  policy: loadPolicy('range-end'),
  machine: loadMachine('amd-v2'),
  costs: COSTS,
  seed: 1,
  frames: null,
  device: null,
  ideal: false,
  cpus: 1,
  lookahead: DEFAULT_LOOKAHEAD,
};

const table = readFileSync(new URL('../../traces/outside/secondary-invalidations.tsv', import.meta.url), 'utf8');
const [header, ...rows] = table
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split('\t'));
const policies = header!.slice(1);
const MODULES = BUILDS.map(engineModule);

const loaded = new Map<string, Policy>();
/** A shipped policy, read once. */
const policyOf = (name: string): Policy => {
  const policy = loaded.get(name) ?? loadPolicy(name);
  loaded.set(name, policy);
  return policy;
};

const written = new Map<readonly Act[], Trace>();
/** The acts as a trace, written and read once. */
const traceOf = (acts: readonly Act[]): Trace => {
  const known = written.get(acts);
  if (known !== undefined) return known;
  const trace = traceOfActs(acts);
  const chunks = [...trace.chunks()];
  const read = { ...trace, chunks: () => chunks.values() as ReturnType<Trace['chunks']> };
  written.set(acts, read);
  return read;
};

/** Without the branch that takes two CPUs. */
const alone = rows.filter(([path]) => !path!.includes('lost race'));

test('what `list paths --counts` prints', async () => {
  const cells = countsGrid(await countInvalidations(policies)).rows.map((row) => row.join('\t'));
  expect(cells).toEqual(rows.map((row) => row.join('\t')));
});

/** On both builds and in the reference; their numbers agree. */
const run = (acts: readonly Act[], change: Partial<RunSetup>): RawRun => {
  const trace = traceOf(acts);
  const setup = { ...QUIET, ...change };
  const { raw } = runReference(setup, trace)!;
  for (const module of MODULES) expect(runEngine(module, setup, trace)!.raw).toEqual(raw);
  return raw;
};

describe('secondary invalidations per page, or per lock hold of a range', () => {
  test('of every path, under every policy for address spaces', () => {
    expect(alone.map(([path]) => path)).toEqual(PATH_NAMES);
    const known = listPolicies().filter(({ family }) => family.includes('mm'));
    expect(policies.toSorted()).toEqual(known.map(({ name }) => name));
    expect(Object.keys(PROBES)).toEqual(PATH_NAMES);
  });

  const cases = alone.flatMap(([path, ...cells]) =>
    cells.map((cell, i): [string, PathName, string] => [policies[i]!, path as PathName, cell]),
  );
  test.each(cases)('%s: %s takes %s', (policy, path, cell) => {
    const [, count, star, per = '1'] = /^(\d)(\*?)(?:\/(\d+))?$/.exec(cell)!;
    const { acts, frames } = PROBES[path];
    const { paths, counters } = run(acts, { policy: policyOf(policy), frames });
    const { count: times, pages, invalidations } = paths[path]!;
    expect(times).toBeGreaterThan(0);
    expect({ pages, invalidations }).toEqual({ pages: times, invalidations: (times * Number(count)) / Number(per) });
    expect(counters.N_SECONDARY).toBe(Object.values(paths).reduce((sum, row) => sum + row.invalidations, 0));
    const whole = (name: string): boolean => policyOf(policy).mm!.paths[name as PathName].text.includes('SI*');
    const wide = Object.entries(paths).filter(([name]) => whole(name));
    expect(whole(path)).toBe(star === '*');
    expect(counters.N_IOTLB_PASID).toBe(wide.reduce((sum, [, row]) => sum + row.invalidations, 0));
  });

  test.each(['reclaim_swap', 'reclaim_file', 'reclaim_lazyfree'] as const)(
    'linux-6.6: a batch of 32 pages of %s is 32 PASID-wide invalidations and one IPI round',
    (path) => {
      const { acts, frames } = PROBES[path];
      const { counters, paths } = run(acts, { policy: policyOf('linux-6.6'), frames });
      expect([paths[path]!.pages, counters.N_IOTLB_PASID, counters.N_IPI]).toEqual([32, 32, 1]);
    },
  );

  test('change_pte adds one to the COW of every release up to 5.0, where the driver has it', () => {
    const machine = loadMachine('intel-svm-nodis');
    const without = { ...machine, driver: { ...machine.driver, changePte: 'none' as const } };
    const counts = (policy: string) =>
      [machine, without].map((machine) => run(PROBES.cow.acts, { policy: policyOf(policy), machine }).paths.cow!);
    for (const policy of policies) {
      const [dear, bare] = counts(policy);
      const hasIt = /^linux-(4\.\d+|5\.0)$/.test(policy);
      expect([policy, dear!.invalidations - bare!.invalidations]).toEqual([policy, hasIt ? bare!.pages : 0]);
    }
  });
});

test('under-lock costs what range-end costs, cause by cause, where one step moves and nobody waits or looks', () => {
  for (const path of ['cow', 'mprotect', 'mremap', 'reclaim_swap', 'reclaim_file'] as const) {
    const { acts, frames } = PROBES[path];
    const [under, end] = ['under-lock', 'range-end'].map((name) => run(acts, { policy: policyOf(name), frames }));
    expect([under!.counters.N_LOCK_WAITS, end!.counters.N_LOCK_WAITS]).toEqual([0, 0]);
    expect({ path, causes: under!.causes }).toEqual({ path, causes: end!.causes });
  }
});

test('the time of the CPU is the sum of its causes', () => {
  for (const { acts } of Object.values(PROBES)) {
    const { elapsed, causes } = run(acts, {});
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
const large = [...access('write', ...upTo(100, 140)), ...unmap(100, 140)];
const varied = traceOf([
  ...Object.values(PROBES).flatMap(({ acts }) => acts),
  ...large,
  ...access('fetch', ...upTo(10, 300), 10, 11),
]);
const causesWith = (module: WebAssembly.Module, ...changes: [CostKey, number][]): RawRun['causes'] => {
  const setup = { ...QUIET, machine: loadMachine('intel-svm-nodis'), costs: costsWith(changes) };
  return runEngine(module, setup, varied)!.raw.causes;
};
const usual = MODULES.map((module) => causesWith(module));
test.each(Object.entries(OWN))('%s at 0 takes time from %s and from nothing else', (key, cause) => {
  for (const [i, module] of MODULES.entries()) {
    const dear = usual[i]!;
    const free = causesWith(module, [key as CostKey, 0]);
    expect(free[cause]).toBeLessThan(dear[cause]!);
    expect({ ...free, [cause]: 0 }).toEqual({ ...dear, [cause]: 0 });
  }
});

describe('the deferral, no device at work', () => {
  const twoUnmaps = [...access('write', 10, 20), ...unmap(10, 11), ...unmap(20, 21)];
  const machine = loadMachine('intel-svm');

  test('the first invalidation of an idle period is put off, the second is not', () => {
    const { counters } = run(twoUnmaps, { machine, policy: policyOf('linux-6.6') });
    expect(counters).toMatchObject({ N_SECONDARY: 2, N_DEFERRED: 1, N_DEVICE_TLB: 1 });
  });
  test('linux-4.14 defeats it: its second invalidation of the first unmap is carried out', () => {
    const once = run(twoUnmaps.slice(0, 3), { machine, policy: policyOf('linux-4.14') });
    expect(once.counters).toMatchObject({ N_SECONDARY: 2, N_DEFERRED: 1, N_DEVICE_TLB: 1 });
  });
  test('without it every invalidation is carried out', () => {
    const { counters } = run(twoUnmaps, { machine: loadMachine('intel-svm-nodis'), policy: policyOf('linux-6.6') });
    expect(counters).toMatchObject({ N_SECONDARY: 2, N_DEFERRED: 0, N_DEVICE_TLB: 2 });
  });
});

describe('a device at work on pages that are unmapped', () => {
  const storm = upTo(0, 60).flatMap((round) => {
    const vpns = upTo(10 + (round % 7) * 3, 13 + (round % 7) * 3);
    return [...access('write', ...vpns, ...vpns), ...unmap(vpns[0]!, vpns[2]! + 1)];
  });
  const device = { every: 1, write: 0.5, active: 1e9, idle: 0, ats: true };
  // A device fast enough to be at work on pages when they go.
  const costs = costsWith([
    ['device.think', 20],
    ['device.page_request', 100],
    ['ats.translation', 100],
    ['iommu.walk_start', 20],
  ]);
  const { paths } = policyOf('range-end').mm!;
  const freeFirst = variant('range-end', 'free first', {
    munmap: paths.munmap.text.replace('} RE! CF SI FREE', '} FREE RE! CF SI'),
  });
  const stormed = (policy: Policy, change: Partial<RunSetup> = {}) => run(storm, { device, costs, policy, ...change });

  test('range-end is safe, and unsafe once the frames are freed before the flush', () => {
    const safe = stormed(policyOf('range-end')).counters;
    const unsafe = stormed(freeFirst).counters;
    expect(safe.N_STALE).toBeGreaterThan(0);
    expect([safe.N_S1_READ, safe.N_S1_WRITE, safe.N_S2, safe.N_S3, safe.N_EXPOSED]).toEqual([0, 0, 0, 0, 0]);
    expect(unsafe.N_S1_READ! + unsafe.N_S1_WRITE!).toBeGreaterThan(0);
  });

  test.each(['linux-4.14', 'linux-4.15', 'linux-6.6', 'under-lock'])('%s is safe, with ATS and without', (policy) => {
    for (const ats of [true, false]) {
      const { counters } = stormed(policyOf(policy), { device: { ...device, ats } });
      expect(counters.N_DMA).toBeGreaterThan(50);
      expect([counters.N_S1_READ, counters.N_S1_WRITE, counters.N_S2, counters.N_EXPOSED]).toEqual([0, 0, 0, 0]);
    }
  });

  test('how far hits may run ahead changes no number', () => {
    expect(stormed(freeFirst, { lookahead: 0, frames: 60 })).toEqual(stormed(freeFirst, { frames: 60 }));
  });
});
