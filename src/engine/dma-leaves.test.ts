import { describe, expect, test } from 'vitest';
import { Recording, runChecked } from '../../testing/recording.ts';
import { loadMachine } from '../catalog/catalog.ts';
import type { Machine } from '../model/machine.ts';

const MS = 1e9;

/** Two CPUs, two devices, one domain each. */
const ACTORS = { cpus: 2, domains: 2, devices: [0, 1] };

describe('leaves of several sizes', () => {
  const machines = (pageSizes: Machine['driver']['pageSizes']) =>
    ['intel-vtd', 'amd-vi'].map((name) => {
      const machine = loadMachine(name);
      return { ...machine, driver: { ...machine.driver, pageSizes } };
    });
  /** One mapping, pages of it read one after the other, then unmapped, and one of them read again. */
  const counters = (machine: Machine, frame: number, pages: number, used: readonly number[], policy = 'strict') => {
    const recording = new Recording(ACTORS);
    const id = recording.map(frame, { pages });
    for (const page of used) recording.dma(id, { page, gap: MS });
    recording.unmap(id, { accesses: used.length, gap: 10 * MS });
    recording.dma(id, { page: used[0], late: MS });
    return runChecked(recording.open(), policy, machine).counters;
  };

  test('one entry serves 2 MiB, and its walk has a table less', () => {
    const used = [0, 100, 511, 512, 600];
    for (const machine of machines(['4K', '2M'])) {
      const { levels } = machine.iommu;
      // 1024 pages are two leaves; the last walk finds nothing where the leaf was.
      const two = counters(machine, 4096, 1024, used);
      expect(two).toMatchObject({
        N_IOTLB_MISS: 3,
        N_IOTLB_HIT: 3,
        N_DEVICE_FAULTS: 1,
        N_MAPPED: 1024,
        N_UNMAPPED: 1024,
      });
      expect(two.N_WALK_REFS).toBe(levels - 1 + 1 + levels - 1);
      // A frame that is not aligned: 4 KiB each.
      expect(counters(machine, 4097, 1024, used)).toMatchObject({
        N_IOTLB_MISS: 6,
        N_IOTLB_HIT: 0,
        N_DEVICE_FAULTS: 1,
      });
    }
    for (const machine of machines(['4K']))
      expect(counters(machine, 4096, 1024, used)).toMatchObject({ N_IOTLB_MISS: 6, N_IOTLB_HIT: 0 });
  });

  test('1 GiB: another table less, where there are so many levels', () => {
    const shared = { limitPfn: 0xfffff };
    for (const machine of machines(['4K', '2M', '1G'])) {
      const { levels } = machine.iommu;
      const large = { ...machine, iova: { ...machine.iova!, ...shared } };
      const one = counters(large, 2 ** 18, 2 ** 18, [3, 2 ** 17]);
      expect(one).toMatchObject({ N_IOTLB_MISS: 2, N_IOTLB_HIT: 1, N_DEVICE_FAULTS: 1, N_UNMAPPED: 2 ** 18 });
      expect(one.N_WALK_REFS).toBe(levels - 2 + levels - 2);
    }
  });

  test('in a structure of their own large entries leave small ones alone', () => {
    const recording = new Recording(ACTORS);
    const [large, small] = [recording.map(512, { pages: 512 }), recording.map(7)];
    for (const id of [large, small, large, small]) recording.dma(id, { gap: MS });
    const trace = recording.open();
    const one = { sets: 1, ways: 1, replacement: 'lru' } as const;
    for (const machine of machines(['4K', '2M'])) {
      const hits = (iotlbLarge: Machine['iommu']['iotlbLarge']) => {
        const iommu = { ...machine.iommu, iotlb: one, iotlbLarge };
        return runChecked(trace, 'strict', { ...machine, iommu }).counters.N_IOTLB_HIT;
      };
      expect([hits('shared'), hits(one), hits({ ...one, sets: 0, ways: 0 })]).toEqual([0, 2, 1]);
    }
  });

  test('an unmap that is not flushed leaves all of a large entry behind', () => {
    for (const machine of machines(['4K', '2M']))
      expect(counters(machine, 512, 512, [5, 500], 'lazy')).toMatchObject({ N_S1_WRITE: 1, N_STALE: 1, N_EXPOSED: 1 });
  });
});
