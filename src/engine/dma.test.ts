import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { costsWith } from '../../testing/machine.ts';
import { openBytes } from '../../testing/program.ts';
import { Recording, runChecked } from '../../testing/recording.ts';
import { loadCosts, loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { costPs } from '../model/cost.ts';
import type { DmaSetup } from '../model/dma.ts';
import type { HazardName } from '../model/hazard.ts';
import type { Machine } from '../model/machine.ts';
import type { LazyUnmap } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';
import type { TraceEvent } from '../model/trace.ts';
import type { Trace } from '../trace/reader.ts';

const US = 1e6;
const MS = 1e9;

/** Two CPUs, two devices, one domain each. */
const ACTORS = { cpus: 2, domains: 2, devices: [0, 1] };

interface Options extends Partial<DmaSetup> {
  /** Events that are left out. */
  readonly without?: (event: TraceEvent) => boolean;
}

function run(trace: Trace, policy: string, machine = 'intel-vtd', options: Options = {}): RawRun {
  const { without, ...rest } = options;
  return runChecked(trace, policy, loadMachine(machine), rest, without);
}
const s1 = ({ counters }: RawRun): number => counters.N_S1_READ! + counters.N_S1_WRITE!;

/** One mapping, used once, unmapped 1 ms after the start, and used again `late` after that. */
function lateWrite(late: number): Trace {
  const recording = new Recording(ACTORS);
  const id = recording.map(7);
  recording.dma(id);
  recording.unmap(id, { accesses: 1, gap: MS });
  recording.dma(id, { late });
  return recording.open();
}

test('what an invalidation leaves of the walk caches: its hint, its domain, its range', () => {
  // In each of two domains: two mappings in one leaf table, used; the first is unmapped, the second used again.
  const recording = new Recording(ACTORS);
  for (const space of [0, 1]) {
    const [first, second] = [7, 9].map((frame) => recording.map(frame, { space, pages: 33, cpu: space }));
    for (const id of [first!, second!]) recording.dma(id, { device: 2 + space, gap: MS });
    recording.unmap(first!, { accesses: 1, space, cpu: space, gap: 3 * MS });
    recording.dma(second!, { device: 2 + space, page: 1, gap: 5 * MS });
  }
  const trace = recording.open();
  const refs = (machine: string, ih: Machine['driver']['ih'], walkDrops: Machine['iommu']['walkDrops']): number => {
    const base = loadMachine(machine);
    const changed = { ...base, driver: { ...base.driver, ih }, iommu: { ...base.iommu, walkDrops } };
    return run(trace, 'strict', machine, { machine: changed }).counters.N_WALK_REFS!;
  };
  // Cold 4, in the same table 1; after the unmap 4 again, or 1 with the hint.
  for (const drops of ['space', 'range'] as const) {
    expect(refs('intel-vtd', 'never', drops)).toBe(2 * (4 + 1 + 4));
    expect(refs('intel-vtd', 'leaf-only', drops)).toBe(2 * (4 + 1 + 1));
    expect(refs('amd-vi', 'never', drops)).toBe(2 * (3 + 1 + 3));
    expect(refs('amd-vi', 'leaf-only', drops)).toBe(2 * (3 + 1 + 1));
  }
});

describe('prices', () => {
  const recording = new Recording(ACTORS);
  const id = recording.map(7);
  recording.dma(id);
  recording.unmap(id, { accesses: 1 });
  const trace = recording.open();

  test('one mapping under strict: every cause, to the picosecond', () => {
    const { causes, counters, elapsed } = run(trace, 'strict');
    // iova.alloc misses, iova.alloc_slow, iova.free; map_call, unmap_call; qi.submit; qi.wait; root and context
    // entry, and four references of the walk.
    const expected = {
      iova: 35_000 + 1_300_000 + 20_000,
      pte: 190_000 + 145_000,
      submit: 150_000,
      wait: 850_000,
      device_walk: 210_000 + (2 + 4) * 70_000,
      device: 430_000,
    };
    expect(causes).toMatchObject(expected);
    expect(elapsed).toBe(Object.values(expected).reduce((sum, ps) => sum + ps));
    expect(counters).toMatchObject({ N_IOTLB_PAGE: 1, N_WAIT: 1, N_MAPPED: 1, N_UNMAPPED: 1, N_DMA: 1 });
  });

  test('a hypervisor that emulates it: the map is invalidated, too, and each doorbell is an exit', () => {
    const { causes, counters, paths } = run(trace, 'strict', 'intel-vtd-virtual');
    // A page is read by its path: an entry of each of four levels.
    expect(causes).toMatchObject({ submit: 2 * 150_000, wait: 2 * 850_000, exit: 2 * (4_300_000 + 4 * 20_000) });
    expect(counters).toMatchObject({ N_IOTLB_PAGE: 2, N_WAIT: 2, N_SECONDARY: 2 });
    expect([paths.map!.invalidations, paths.unmap!.invalidations]).toEqual([1, 1]);
  });

  test('a domain flush makes it read the four tables that one mapping has, entry by entry', () => {
    const late = new Recording(ACTORS);
    const first = late.map(7);
    late.unmap(first);
    // The timer has fired by then.
    late.map(8, { gap: 20 * MS });
    const { causes, counters } = run(late.open(), 'lazy', 'intel-vtd-virtual');
    expect(counters).toMatchObject({ N_IOTLB_PAGE: 2, N_IOTLB_DOMAIN: 1 });
    expect(causes.exit).toBe(3 * 4_300_000 + (2 * 4 + 4 * 512) * 20_000);
  });

  test('a scatter list is invalidated once, when its last piece is mapped', () => {
    const list = new Recording(ACTORS);
    list.map(1, { pages: 2 });
    list.map(5, { pages: 6, joined: 1 });
    const { counters, paths, causes } = run(list.open(), 'strict', 'intel-vtd-virtual');
    expect(counters).toMatchObject({ N_IOTLB_RANGE: 1, N_WAIT: 1 });
    expect(paths.map).toMatchObject({ count: 2, pages: 8, invalidations: 1 });
    expect(causes.exit).toBe(4_300_000 + (3 + 8) * 20_000);
  });

  test('tables of three levels take one reference less, and a DTE one less than root and context entry', () => {
    const walk = (machine: string): number => run(trace, 'strict', machine).causes.device_walk!;
    expect(walk('intel-vtd') - walk('amd-vi')).toBe(2 * 70_000);
  });

  test('the ideal run is the strict one without its invalidation', () => {
    const strict = run(trace, 'strict');
    const ideal = run(trace, 'strict', 'intel-vtd', { ideal: true });
    expect(strict.elapsed - ideal.elapsed).toBe(1_000_000);
    expect(ideal.counters).toMatchObject({ N_STALE: 0, N_WAIT: 0, N_IOTLB_PAGE: 0 });
  });

  test('the lock of the IOVA tree: the second CPU waits for the first, and says so', () => {
    const two = new Recording(ACTORS);
    two.map(1, { cpu: 0 });
    two.map(2, { cpu: 1 });
    const { causes, counters } = run(two.open(), 'strict');
    // iova.alloc_slow, then ptl.handoff.
    expect(counters).toMatchObject({ N_LOCK_WAITS: 1, N_IOVA_WAIT_PS: 1_300_000 });
    expect(causes).toMatchObject({ lock_wait: 1_300_000 + costPs(loadCosts(), 'ptl.handoff'), device_walk: 0 });
  });

  test('passthrough pays for the accesses alone', () => {
    const { causes } = run(trace, 'passthrough');
    expect(Object.entries(causes).filter(([, ps]) => ps > 0)).toEqual([['device', 430_000]]);
  });

  test('a scatter list is one allocation, one invalidation, one free', () => {
    const list = new Recording(ACTORS);
    list.map(10, { pages: 2 });
    list.map(20, { pages: 3, joined: 1 });
    list.unmap(0, { instances: 2 });
    const { counters, paths } = run(list.open(), 'strict');
    expect(counters).toMatchObject({ N_IOVA_SLOW: 1, N_IOTLB_RANGE: 1, N_IOTLB_PAGE: 0, N_WAIT: 1, N_UNMAPPED: 5 });
    expect(paths.unmap).toMatchObject({ count: 1, pages: 5, invalidations: 1 });
  });
});

describe('flush queue', () => {
  test('255 entries fit, the next one flushes the domain first', () => {
    for (const [unmaps, flushes] of [
      [255, 0],
      [256, 1],
      [510, 1],
      [511, 2],
    ] as const) {
      const recording = new Recording(ACTORS);
      for (let i = 0; i < unmaps; i++) recording.unmap(recording.map(i));
      const { counters } = run(recording.open(), 'lazy');
      expect(counters, `${unmaps} unmaps`).toMatchObject({
        N_QUEUED: unmaps,
        N_QUEUE_FULL: flushes,
        N_IOTLB_DOMAIN: flushes,
        N_IOTLB_PAGE: 0,
        N_IOVA_SLOW: Math.min(unmaps, 255 + (flushes > 0 ? 1 : 0)),
      });
    }
  });

  /** So many unmaps, in turn of one domain and of the other, by one CPU or by two in turn. */
  const unmaps = (count: number, cpus: number): Trace => {
    const recording = new Recording(ACTORS);
    for (let i = 0; i < count; i++) {
      const [space, cpu] = [i % 2, i % cpus];
      recording.unmap(recording.map(i, { space, cpu }), { space, cpu });
    }
    return recording.open();
  };

  test.each([
    // policy, machine, unmaps that fit, domain flushes and global ones of the next
    ['lazy', 'intel-vtd', 2 * 255, 1, 0],
    ['lazy-intel-2017', 'intel-vtd', 250, 0, 1],
    ['lazy-amd-2017', 'amd-vi', 256, 2, 0],
  ])('%s on %s: %i unmaps of two domains fit', (policy, machine, fit, domain, global) => {
    const counted = (count: number) => {
      const { counters } = run(unmaps(count, 1), policy, machine);
      return [counters.N_QUEUE_FULL, counters.N_IOTLB_DOMAIN, counters.N_IOTLB_GLOBAL];
    };
    expect(counted(fit)).toEqual([0, 0, 0]);
    expect(counted(fit + 1)).toEqual([1, domain, global]);
  });

  test('two CPUs have a ring each, or one: a flush makes room in both rings', () => {
    const lazy = loadPolicy('lazy');
    const small = { unmap: 'lazy', queueSize: 5, timeoutMs: 10, queues: 'cpu', flush: 'domain' } as const;
    const full = (change: Partial<LazyUnmap>, count: number): number => {
      const one = new Recording({ cpus: 2, domains: 1, devices: [0] });
      // 50 us apart, the second CPU 25 us behind the first: it finds what that has left.
      for (let i = 0; i < count; i++)
        one.unmap(one.map(i, { cpu: i % 2, gap: (i === 1 ? 75 : 50) * US }), { cpu: i % 2 });
      const policy = { ...lazy, dma: { ...small, ...change } };
      return run(one.open(), 'lazy', 'intel-vtd', { policy }).counters.N_QUEUE_FULL!;
    };
    expect([full({}, 8), full({}, 10)]).toEqual([0, 1]);
    expect([full({ queues: 'single' }, 4), full({ queues: 'single' }, 5)]).toEqual([0, 1]);
    expect(full({ flush: 'global' }, 10)).toBe(1);
  });

  test('the timer fires on the tick after the time-out: 16 ms for an entry of the first 4 ms', () => {
    expect(s1(run(lateWrite(14.9 * MS), 'lazy'))).toBe(1);
    const { counters } = run(lateWrite(15.1 * MS), 'lazy');
    expect(counters).toMatchObject({ N_S1_WRITE: 0, N_DEVICE_FAULTS: 1, N_QUEUE_TIMER: 1, N_IOTLB_DOMAIN: 1 });
  });
});

describe('safety', () => {
  test('strict: a write before the invalidation is in flight, one after it is denied', () => {
    expect(run(lateWrite(0), 'strict').counters).toMatchObject({ N_STALE: 1, N_IN_FLIGHT: 1, N_S1_WRITE: 0 });
    expect(run(lateWrite(5 * US), 'strict').counters).toMatchObject({ N_STALE: 0, N_DEVICE_FAULTS: 1, N_EXPOSED: 0 });
  });

  test('hazard no-drain: the invalidation does not wait for the write in flight, which lands in somebody else’s frame', () => {
    const costs = costsWith([['device.dma_latency', 20_000]]);
    const machine = loadMachine('intel-vtd');
    const afterUnmap = (hazards: HazardName[]): RawRun =>
      run(lateWrite(0), 'strict', 'intel-vtd', { costs, machine: { ...machine, hazards } });
    expect(afterUnmap(['no-drain']).counters).toMatchObject({ N_STALE: 1, N_S1_WRITE: 1, N_EXPOSED: 1 });
    expect(afterUnmap([]).counters).toMatchObject({ N_STALE: 1, N_IN_FLIGHT: 1, N_S1_WRITE: 0, N_EXPOSED: 0 });
  });

  test('hazard shared-domain-id: a device is served by the translation of the other domain', () => {
    const recording = new Recording(ACTORS);
    const ids = [recording.map(7), recording.map(8, { space: 1, cpu: 1 })];
    recording.dma(ids[0]!);
    recording.dma(ids[1]!, { device: 3, gap: 100 * US });
    const trace = recording.open();
    for (const machine of ['intel-vtd', 'amd-vi']) {
      const both = (hazards: HazardName[]): RawRun =>
        run(trace, 'strict', machine, { machine: { ...loadMachine(machine), hazards } });
      expect(both(['shared-domain-id']).counters).toMatchObject({ N_S7: 1, N_IOTLB_HIT: 1, N_STALE: 0 });
      expect(both(['shared-domain-id']).first).toMatchObject({ property: 7, record: 3 });
      expect(both([]).counters).toMatchObject({ N_S7: 0, N_IOTLB_HIT: 0 });
    }
  });

  test('hazard no-flush-on-map: in caching mode a mapped page is refused, and nothing is broken by that', () => {
    const recording = new Recording(ACTORS);
    const id = recording.map(7);
    recording.unmap(id);
    recording.dma(id, { late: 50 * US });
    const again = recording.map(8, { gap: 500 * US });
    recording.dma(again);
    const trace = recording.open();
    // The magazine hands out again what it was given last, so that the second mapping is where the first one was.
    const base = loadMachine('intel-vtd');
    const machine = { ...base, driver: { ...base.driver, map: ['iotlb.page', 'wait'] as const } };
    const twice = (hazards: HazardName[]): RawRun =>
      run(trace, 'strict', 'intel-vtd', { machine: { ...machine, hazards } });
    const clean = { N_SPURIOUS: 0, N_DEVICE_FAULTS: 1, N_IOVA_REUSED: 1, N_S1_WRITE: 0 };
    expect(twice([]).counters).toMatchObject(clean);
    expect(twice(['no-flush-on-map']).counters).toMatchObject({ ...clean, N_SPURIOUS: 1, N_DEVICE_FAULTS: 2 });
    // Without caching mode there is nothing to flush.
    expect(run(trace, 'strict', 'intel-vtd', { machine: base }).counters).toMatchObject(clean);
  });

  test('lazy: a write after the unmap lands in a frame that is somebody else’s', () => {
    const { counters, first } = run(lateWrite(MS), 'lazy');
    expect(counters).toMatchObject({ N_STALE: 1, N_S1_WRITE: 1, N_EXPOSED: 1, N_S6: 0 });
    expect(first).toMatchObject({ property: 1, page: 0xfffff, record: 3 });
  });

  test('reuse never: the same is exposed, and breaks nothing', () => {
    const { counters } = run(lateWrite(MS), 'lazy', 'intel-vtd', { reuse: 'never' });
    expect(counters).toMatchObject({ N_STALE: 1, N_S1_WRITE: 0, N_SHARED: 0, N_EXPOSED: 1 });
  });

  test('passthrough: no stale entry, and the same violation', () => {
    const { counters, first } = run(lateWrite(40 * MS), 'passthrough');
    expect(counters).toMatchObject({ N_STALE: 0, N_S1_WRITE: 1, N_EXPOSED: 1 });
    expect(first).toMatchObject({ property: 1, page: 7, record: 3 });
  });

  test.each(['lazy', 'passthrough'])('%s: a frame that another live mapping covers is shared, not free', (policy) => {
    const recording = new Recording(ACTORS);
    const id = recording.map(7);
    recording.map(7);
    recording.dma(id);
    recording.unmap(id, { accesses: 1 });
    recording.dma(id, { late: MS });
    expect(run(recording.open(), policy).counters).toMatchObject({ N_SHARED: 1, N_S1_WRITE: 0 });
  });

  test('the last IOVA freed is the next one handed out: a late access to it is misdirected', () => {
    const recording = new Recording(ACTORS);
    const id = recording.map(7);
    recording.dma(id);
    recording.unmap(id, { accesses: 1 });
    recording.map(8);
    recording.dma(id, { late: MS });
    const trace = recording.open();
    expect(run(trace, 'strict').counters).toMatchObject({ N_MISDIRECTED: 1, N_STALE: 0, N_S1_WRITE: 0 });
    expect(run(trace, 'lazy').counters).toMatchObject({ N_MISDIRECTED: 0, N_S1_WRITE: 1 });
  });

  test('a write through a mapping for reading is denied', () => {
    const recording = new Recording(ACTORS);
    recording.dma(recording.map(7, { prot: 1 }));
    recording.unmap(0, { accesses: 1 });
    expect(run(recording.open(), 'strict').counters).toMatchObject({ N_DEVICE_FAULTS: 1 });
  });

  test('an invalidation of one domain leaves the other one’s entries', () => {
    const recording = new Recording(ACTORS);
    const other = recording.map(9, { space: 1 });
    recording.dma(other, { device: 3 });
    recording.dma(recording.map(7));
    recording.unmap(1, { accesses: 1, gap: MS });
    recording.dma(other, { device: 3, gap: 2 * MS });
    expect(run(recording.open(), 'strict').counters).toMatchObject({ N_IOTLB_HIT: 1, N_IOTLB_MISS: 2, N_OVER: 0 });
  });
});

test('names decide nothing: a renamed policy on a renamed machine is the same run', () => {
  const trace = lateWrite(MS);
  const renamed = {
    policy: { ...loadPolicy('lazy'), name: 'strict' },
    machine: { ...loadMachine('intel-vtd'), name: 'x' },
  };
  expect(run(trace, 'lazy', 'intel-vtd', renamed)).toEqual(run(trace, 'lazy'));
});

describe('a misbehaving device, recorded: writes 0.25 to 25 ms after their unmap', () => {
  const path = new URL('../../traces/vtd-edu-stale-lazy-icount.trace', import.meta.url);
  const trace = openBytes(readFileSync(path));
  const late = (event: TraceEvent): number => (event.op === 'dma' ? event.fields[4]! - 1 : -1);
  const between = (low: number, high: number) => {
    let kept = 0;
    const without = (event: TraceEvent): boolean => {
      const at = late(event);
      if (at < 0) return false;
      const keeps = at >= low && at <= high;
      if (keeps) kept++;
      return !keeps;
    };
    return { without, kept: () => kept };
  };

  test.each(['intel-vtd', 'amd-vi'])('%s: lazy lands every write up to 11 ms, and none at 18 or 25 ms', (machine) => {
    const early = between(0, 11.5 * MS);
    expect(run(trace, 'lazy', machine, early).counters.N_S1_WRITE).toBe(early.kept());
    expect(early.kept()).toBe(88);
    const tardy = between(17 * MS, 1000 * MS);
    const { counters } = run(trace, 'lazy', machine, tardy);
    expect(counters.N_S1_WRITE).toBe(0);
    expect(tardy.kept()).toBe(256);
    // The driver maps again as soon as it sees the write, which may then find the new mapping.
    expect(counters.N_DEVICE_FAULTS! + counters.N_MISDIRECTED!).toBe(tardy.kept());
  });

  test.each(['intel-vtd', 'amd-vi'])('%s: strict is safe, passthrough lets every one of them through', (machine) => {
    const strict = run(trace, 'strict', machine).counters;
    expect(strict).toMatchObject({ N_S1_READ: 0, N_S1_WRITE: 0, N_S6: 0, N_EXPOSED: 0 });
    const all = between(0, 1000 * MS);
    expect(run(trace, 'passthrough', machine, all).counters.N_S1_WRITE).toBe(all.kept());
  });
});
