import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openBytes } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { loadCosts, loadMachine, loadPolicy, withSetting } from '../catalog/catalog.ts';
import type { Costs } from '../model/cost.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, parseDevice, type RunSetup } from '../model/run.ts';
import { Follower } from '../trace/generate/follow.ts';
import { MachineEngine } from './machine.ts';

const QUIET = { frames: null, device: null };
const POLICIES = ['under-lock', 'range-end', 'linux-4.14', 'linux-4.15', 'linux-6.6'];

const trace = openBytes(readFileSync(new URL('../../traces/outside/sqlite.trace', import.meta.url)));
const chunks = [...trace.chunks()];
const runs = new Map<string, RawRun>();

/** A recorded program on a machine; without memory limit and device nobody waits for anybody. Each run is made once. */
function run(
  policy: string,
  change: Partial<RunSetup> = {},
  machine = 'amd-v2',
  build: 'release' | 'checked' = 'release',
): RawRun {
  const setup: RunSetup = {
    policy: loadPolicy(policy),
    machine: loadMachine(machine),
    costs: loadCosts(),
    seed: 1,
    frames: 1330,
    device: parseDevice('follow'),
    ideal: false,
    cpus: 1,
    lookahead: DEFAULT_LOOKAHEAD,
    ...change,
  };
  const key = JSON.stringify([setup, build]);
  const known = runs.get(key);
  if (known !== undefined) return known;
  const engine = new MachineEngine(engineModule(build), setup, trace.meta);
  const follower = setup.device && new Follower(setup.device, setup.seed);
  for (const chunk of chunks) engine.feed(chunk, follower?.posts(chunk));
  const raw = engine.finish();
  runs.set(key, raw);
  return raw;
}

/** Secondary invalidations of one path per time that it ran. */
const perRun = ({ paths }: RawRun, path: string): number => paths[path]!.invalidations / paths[path]!.count;

describe('under-lock and range-end', () => {
  test('cost the same in every cause where nobody waits and no device looks', () => {
    const under = run('under-lock', QUIET);
    const end = run('range-end', QUIET);
    // All paths but munmap, where range-end invalidates at range_end and in the gather.
    const munmap = under.paths.munmap!.invalidations - end.paths.munmap!.invalidations;
    expect(under.counters.N_SECONDARY! - end.counters.N_SECONDARY!).toBe(munmap);
    expect(under.counters.N_LOCK_WAITS).toBe(0);
    for (const path of ['cow', 'mprotect', 'reclaim_swap', 'reclaim_file', 'mremap', 'dontneed', 'madv_free']) {
      expect({ path, ...under.paths[path] }).toEqual({ path, ...end.paths[path] });
    }
    for (const cause of Object.keys(under.causes)) {
      if (['submit', 'wait'].includes(cause)) continue;
      expect({ cause, ps: under.causes[cause] }).toEqual({ cause, ps: end.causes[cause] });
    }
  });

  test('differ in lock wait where reclaim and a program meet', () => {
    const waits = POLICIES.slice(0, 2).map((policy) => run(policy).counters.N_LOCK_WAIT_PS!);
    expect(waits[0]).toBeGreaterThan(waits[1]!);
  });
});

test.each([
  // policy        cow  swap  file
  ['linux-4.14', 2, 2, 2],
  ['linux-4.15', 1, 2, 1],
  ['linux-6.6', 1, 1, 1],
  ['under-lock', 1, 1, 1],
  ['range-end', 1, 1, 1],
])('%s invalidates %i times for a copy on write', (policy, cow) => {
  expect(perRun(run(policy, QUIET), 'cow')).toBe(cow);
});

test.each([
  ['linux-4.14', 2, 2],
  ['linux-4.15', 2, 1],
  ['linux-6.6', 1, 1],
  ['under-lock', 1, 1],
  ['range-end', 1, 1],
])('%s invalidates %i times for a page swapped out, %i for a file page', (policy, swap, file) => {
  const alone = run(policy, { device: null });
  expect(alone.paths.reclaim_swap!.count).toBeGreaterThan(100);
  expect(perRun(alone, 'reclaim_swap')).toBeCloseTo(swap, 1);
  expect(perRun(alone, 'reclaim_file')).toBeCloseTo(file, 1);
});

test('linux-6.6 invalidates the whole PASID for each page of a batch, and interrupts the CPU once a batch', () => {
  const { counters } = run('linux-6.6', { device: null });
  expect(counters.N_IOTLB_PASID).toBeGreaterThanOrEqual(counters.N_RECLAIMED!);
  expect(counters.N_CPU_FULL! * 32).toBeGreaterThanOrEqual(counters.N_RECLAIMED!);
  expect(counters.N_CPU_FULL! * 31).toBeLessThan(counters.N_RECLAIMED! * 1.1);
});

describe('the deferral', () => {
  const OFTEN = { device: parseDevice('follow,active=200us,idle=200us') };
  test('spares at most one invalidation per idle period', () => {
    const { counters } = run('range-end', OFTEN, 'intel-svm');
    expect(counters.N_DEFERRED).toBeGreaterThan(0);
    expect(counters.N_DEFERRED).toBeLessThanOrEqual(counters.N_ACTIVATIONS!);
  });
  test('is defeated by the second invalidation of linux-4.14', () => {
    const once = run('range-end', OFTEN, 'intel-svm').counters;
    const twice = run('linux-4.14', OFTEN, 'intel-svm').counters;
    expect(twice.N_DEFERRED! / twice.N_SECONDARY!).toBeLessThan(once.N_DEFERRED! / once.N_SECONDARY!);
  });
  test('is not there on intel-svm-nodis', () => {
    expect(run('range-end', OFTEN, 'intel-svm-nodis').counters.N_DEFERRED).toBe(0);
  });
});

test('a cost of 0 removes its own cause and no other', () => {
  const dear = run('range-end', QUIET);
  const free = run('range-end', { ...QUIET, costs: withSetting(loadCosts(), 'cost.notifier.start=0') as Costs });
  const { notifier, ...others } = dear.causes;
  const { notifier: less, ...same } = free.causes;
  expect(same).toEqual(others);
  expect(less).toBeLessThan(notifier!);
});

test('how far hits of several CPUs run ahead changes no number, whatever their device does to PTEs meanwhile', () => {
  for (const policy of ['range-end', 'linux-4.14']) {
    const usual = run(policy, { cpus: 4 });
    expect(run(policy, { cpus: 4, lookahead: 0 })).toEqual(usual);
  }
});

test('the checked build counts the same', () => {
  const usual = run('range-end');
  expect(BUILDS).toContain('checked');
  expect(run('range-end', {}, 'amd-v2', 'checked')).toEqual(usual);
});
