import { describe, expect, test } from 'vitest';
import { COSTS, runEngine, runReference, traceOf } from '../../testing/machine.ts';
import type { Step } from '../../testing/program.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import type { CostKey, Costs } from '../model/cost.ts';
import type { Machine } from '../model/machine.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, type Follow } from '../model/run.ts';

const NS = 1000;
const DONTNEED = 4;
const write = (agent: number, vpn: number): Step => ({ access: 'write', agent, vpn, straddle: false });
const call = (agent: number, event: 'madvise' | 'munmap', vpn: number): Step => ({
  event,
  agent,
  gap: 0,
  fields: event === 'munmap' ? [0, vpn, vpn + 1] : [0, vpn, vpn + 1, DONTNEED],
});

/** Nothing takes time but what is named, in nanoseconds. */
function onlyCosts(prices: Partial<Record<CostKey, number>>): Costs {
  const rows = Object.entries(COSTS).map(([key, cost]) => [key, { ...cost, default: prices[key as CostKey] ?? 0 }]);
  return Object.fromEntries(rows) as Costs;
}

/** What recorded CPUs do, in the engine; the reference agrees. */
function run(
  steps: readonly Step[],
  prices: Partial<Record<CostKey, number>>,
  policy = 'range-end',
  machine: Machine = loadMachine('amd-v2'),
  device: Follow | null = null,
): RawRun {
  const cpus = Math.max(...steps.map((step) => ('agent' in step ? step.agent : 0))) + 1;
  const base = { seed: 1, frames: null, device, ideal: false, lookahead: DEFAULT_LOOKAHEAD };
  const setup = { ...base, policy: loadPolicy(policy), machine, costs: onlyCosts(prices), cpus };
  const trace = traceOf(steps, cpus);
  const engine = runEngine(engineModule('checked'), setup, trace)!;
  expect(engine.raw).toEqual(runReference(setup, trace)!.raw);
  return engine.raw;
}

describe('the lock of a page table', () => {
  /** CPU 0 discards a page and takes `clear` ns to clear its PTE, while CPU 1 faults on another. */
  const waited = (clear: number, other: number): number => {
    const { counters } = run([write(0, 8), call(0, 'madvise', 8), write(1, other)], { 'pte.clear': clear });
    expect(counters.N_LOCK_WAITS).toBe(counters.N_LOCK_WAIT_PS === 0 ? 0 : 1);
    return counters.N_LOCK_WAIT_PS!;
  };

  test('held twice as long, it makes the other CPU wait twice as long', () => {
    expect(waited(1000, 9)).toBe(1000 * NS);
    expect(waited(2000, 9)).toBe(2000 * NS);
  });

  test('is one for each table: pages of two tables do not contend', () => {
    expect(waited(1000, 511)).toBe(1000 * NS);
    expect(waited(1000, 512)).toBe(0);
  });

  test('under-lock holds it through the invalidation, range-end does not', () => {
    const steps = [write(0, 8), call(0, 'madvise', 8), write(1, 9)];
    const prices = { 'amd.wait': 700, 'device_tlb.inv': 500 };
    // Two waits, one behind the request to the device.
    expect(run(steps, prices, 'under-lock').counters.N_LOCK_WAIT_PS).toBe((700 + 500 + 700) * NS);
    expect(run(steps, prices, 'range-end').counters.N_LOCK_WAIT_PS).toBe(0);
  });

  test('twice as many waiters are waited for twice as long under-lock; what range-end invalidates costs the same', () => {
    const prices = { 'amd.wait': 700, 'device_tlb.inv': 500 };
    const added = (waiters: number, policy: string) => {
      const others = Array.from({ length: waiters }, (_, i) => write(i + 1, 9 + i));
      const { causes, counters } = run([write(0, 8), call(0, 'madvise', 8), ...others], prices, policy);
      return [counters.N_LOCK_WAIT_PS, causes.submit! + causes.wait! + causes.queue_wait!];
    };
    const invalidation = (700 + 500 + 700) * NS;
    expect([added(2, 'under-lock'), added(4, 'under-lock')]).toEqual([
      [2 * invalidation, invalidation],
      [4 * invalidation, invalidation],
    ]);
    // Once where the pages are gathered, once at range_end.
    expect([added(2, 'range-end'), added(4, 'range-end')]).toEqual([
      [0, 2 * invalidation],
      [0, 2 * invalidation],
    ]);
  });

  test('handing it over costs the one who waited', () => {
    const steps = [write(0, 8), call(0, 'madvise', 8), write(1, 9)];
    const { causes, elapsed } = run(steps, { 'pte.clear': 1000, 'ptl.handoff': 50 });
    expect([causes.lock_wait, elapsed]).toEqual([1050 * NS, 1050 * NS]);
  });
});

describe('mmap_lock', () => {
  const steps = (event: 'madvise' | 'munmap') => [write(0, 8), call(0, event, 8), write(1, 5000)];
  const prices = { 'pte.clear': 1000 };

  test('an unmap has it alone: a fault anywhere waits until it is over', () => {
    expect(run(steps('munmap'), prices).counters).toMatchObject({ N_MMAP_WAIT_PS: 1000 * NS, N_LOCK_WAIT_PS: 0 });
  });

  test('advice and faults share it', () => {
    expect(run(steps('madvise'), prices).counters).toMatchObject({ N_MMAP_WAIT_PS: 0, N_LOCK_WAITS: 0 });
  });

  test('who comes behind a waiting writer waits, too', () => {
    // CPU 1 wants to unmap while CPU 0 discards for 1000 ns; CPU 2 faults behind it, though a reader has the lock.
    const three = [write(0, 8), write(1, 600), call(0, 'madvise', 8), call(1, 'munmap', 600), write(2, 5000)];
    const { counters } = run(three, prices);
    expect(counters).toMatchObject({ N_LOCK_WAITS: 2, N_MMAP_WAIT_PS: (1000 + 2000) * NS });
  });
});

describe('the invalidation queue', () => {
  const machine = (base: string, ring: number): Machine => {
    const loaded = loadMachine(base);
    return { ...loaded, device: { ...loaded.device, ats: false }, iommu: { ...loaded.iommu, ring } };
  };
  /** So many CPUs each discard a page of a table of their own, all at once. */
  const storm = (cpus: number): Step[] => {
    const all = [...Array(cpus).keys()];
    return [...all.map((cpu) => write(cpu, 1000 * cpu)), ...all.map((cpu) => call(cpu, 'madvise', 1000 * cpu))];
  };

  test('AMD polls under the lock: the second CPU waits for the whole round trip of the first', () => {
    const { counters } = run(storm(2), { 'amd.submit': 100, 'amd.wait': 700 }, 'linux-6.6', machine('amd-v2', 512));
    expect(counters.N_QUEUE_WAIT_PS).toBe((100 + 700) * NS);
  });

  test('VT-d holds it while it writes: the second CPU waits for that', () => {
    const prices = { 'qi.submit': 100, 'qi.wait': 700 };
    const { counters } = run(storm(2), prices, 'linux-6.6', machine('intel-svm-nodis', 256));
    expect(counters.N_QUEUE_WAIT_PS).toBe(100 * NS);
  });

  test('who polls takes it again to look; where the ring is full, whoever has it lets it go until there is room', () => {
    const queueWait = (ring: number): number =>
      run(storm(4), { 'qi.submit': 500, 'qi.wait': 1000 }, 'linux-6.6', machine('intel-svm-nodis', ring)).counters
        .N_QUEUE_WAIT_PS!;
    // Each writes two commands in 500 ns: the others wait 500, 1000 and 1500 ns for the lock. The first wait is over at 1500 ns,
    // while the fourth writes: 500 ns more until that is seen. The others find the lock free.
    expect(queueWait(16)).toBe(3500 * NS);
    // Four slots fill up. The third and the fourth have the lock at 1000 ns and let it go. At 1500 ns the first sees the end, and
    // they have room: the third writes, and the fourth waits for it for 500 ns. At 2000 ns the same again, with the second.
    expect(queueWait(5)).toBe(3000 * NS);
  });

  test('33 requests to a device: the last one waits for an ITag', () => {
    const loaded = loadMachine('intel-svm-nodis');
    const last = (cpus: number): number => run(storm(cpus), { 'device_tlb.inv': 10_000 }, 'linux-6.6', loaded).elapsed;
    expect(last(32)).toBe(10_000 * NS);
    expect(last(33)).toBe(20_000 * NS);
  });
});

describe('a shootdown', () => {
  const by = (shootdown: Machine['cpu']['shootdown']): Machine => {
    const loaded = loadMachine('amd-v2');
    return { ...loaded, cpu: { ...loaded.cpu, shootdown } };
  };
  /** CPUs 0 and 1 each discard a page, both at once; all three go on reading. */
  const steps = [
    ...[write(0, 8), write(1, 1000), call(0, 'madvise', 8), call(1, 'madvise', 1000)],
    ...Array.from({ length: 60 }, (_, i): Step => ({ access: 'read', agent: i % 3, vpn: 5000, straddle: false })),
  ];
  const prices = { 'cpu.access': 500, 'cpu.ipi_first': 1000, 'cpu.ipi_next': 100, 'cpu.ipi_handler': 300 } as const;
  const flushes = ({ counters }: RawRun) => [counters.N_IPI, counters.N_CPU_PAGE, counters.N_CPU_FULL];

  test('by IPI: each CPU drops each page, and is interrupted for it', () => {
    const done = run(steps, prices, 'linux-6.6', by('ipi'));
    expect(flushes(done)).toEqual([2, 6, 0]);
    expect([done.causes.ipi, done.causes.interrupted]).toEqual([2 * 1100 * NS, 4 * 300 * NS]);
  });

  test('with generations: the first one finds another under way, so that all is flushed, and the second has nothing to do', () => {
    expect(flushes(run(steps, prices, 'linux-6.6', by('tlb-gen')))).toEqual([2, 0, 3]);
  });

  test('by INVLPGB: nobody is interrupted', () => {
    const done = run(steps, { ...prices, 'cpu.invlpgb': 40, 'cpu.tlbsync': 200 }, 'linux-6.6', by('invlpgb'));
    expect(flushes(done)).toEqual([0, 6, 0]);
    expect([done.causes.ipi, done.causes.interrupted, done.causes.cpu_flush]).toEqual([0, 0, 2 * 240 * NS]);
  });
});

describe('one CPU uses what another has given up', () => {
  const FOLLOWER: Follow = { every: 1, write: 0, active: 1e12, idle: 0, ats: true };

  test('between its discard and its return, as the program asked for: an allowed race, no violation', () => {
    // The device knows page 8 from CPU 0, which discards it at 5 us and comes back at 45 us. CPU 1 brings a new page in
    // at 10 us, and tells the device of it.
    const reads = (agent: number, vpn: number, count: number): Step[] =>
      Array.from({ length: count }, () => ({ access: 'read', agent, vpn, straddle: false }));
    const steps = [
      ...[write(0, 8), ...reads(0, 9, 50), call(0, 'madvise', 8)],
      ...[...reads(1, 600, 100), write(1, 8), ...reads(1, 600, 1)],
    ];
    const prices = { 'cpu.access': 100, 'amd.wait': 10_000 } as const;
    const { counters } = run(steps, prices, 'range-end', loadMachine('amd-v2'), FOLLOWER);
    expect(counters).toMatchObject({ N_ALLOWED: 1, N_S1_READ: 0, N_S2: 0 });
  });
});
