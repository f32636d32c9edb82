import { describe, expect, test } from 'vitest';
import { costsWith } from '../../testing/machine.ts';
import { Recording, runChecked } from '../../testing/recording.ts';
import { loadCosts, loadMachine } from '../catalog/catalog.ts';
import { withSetting } from '../catalog/settings.ts';
import type { Machine } from '../model/machine.ts';
import type { Trace } from '../trace/reader.ts';

const MS = 1e9;

const run = (trace: Trace, machine: Machine, policy = 'strict', costs = loadCosts()) =>
  runChecked(trace, policy, machine, { costs });
const set = (name: string, ...settings: string[]): Machine =>
  settings.reduce((machine, setting) => withSetting(machine, `machine.${setting}`), loadMachine(name));

/** Mappings of one domain with so many devices, each unmapped after its use. */
function unmaps(devices: number, maps: number, pages = 1): Trace {
  const recording = new Recording({ cpus: 1, domains: 1, devices: Array(devices).fill(0) });
  for (let i = 0; i < maps; i++) {
    const id = recording.map(8 * i, { pages });
    recording.dma(id, { device: 1, gap: MS });
    recording.unmap(id, { accesses: 1, gap: 2 * MS });
  }
  return recording.open();
}

describe('IOTLB and device TLBs of a domain', () => {
  const ats = ['device.ats=true', 'device.outstanding=1'];
  test.each([
    // Linux 6.1: one submission each. 6.12: one for both, of at most 16 commands.
    ['intel-vtd', 1, 2],
    ['intel-vtd-6.12', 1, 1],
    ['intel-vtd', 15, 2],
    ['intel-vtd-6.12', 15, 1],
    ['intel-vtd-6.12', 16, 2],
  ])('on %s with %i devices: %i waits an unmap', (name, devices, waits) => {
    const { counters } = run(unmaps(devices, 3), set(name, ...ats));
    expect(counters).toMatchObject({ N_IOTLB_PAGE: 3, N_DEVICE_TLB: 3 * devices, N_WAIT: 3 * waits });
  });

  test('are flushed in lazy mode, too: no device keeps what its domain has lost', () => {
    const machine = set('intel-vtd-6.12', ...ats);
    const { counters, openAtEnd } = run(unmaps(2, 600), machine, 'lazy');
    const flushes = counters.N_QUEUE_FULL! + counters.N_QUEUE_TIMER!;
    expect(flushes).toBeGreaterThan(2);
    expect(counters).toMatchObject({ N_IOTLB_DOMAIN: flushes, N_DEVICE_TLB: 2 * flushes, N_WAIT: flushes });
    expect(openAtEnd).toBeLessThan(256);
  });
});

test('cache tags of a domain are gone through by one CPU at a time, those of two domains at once', () => {
  const waits = (domains: number, lock: boolean): number => {
    const recording = new Recording({ cpus: 2, domains, devices: [0, domains - 1] });
    for (const cpu of [0, 1]) recording.map(8 * cpu, { cpu, space: cpu % domains });
    for (const cpu of [0, 1]) recording.unmap(cpu, { cpu, space: cpu % domains, gap: MS });
    const machine = set('intel-vtd-6.12', `driver.domain_lock=${lock}`);
    return run(recording.open(), machine, 'strict', costsWith([['iotlb.inv_page', 20_000]])).causes.lock_wait!;
  };
  // The IOVA tree has a lock, too.
  expect(waits(1, true) - waits(1, false)).toBeGreaterThan(19_000_000);
  expect([waits(2, true), waits(2, false)]).toEqual([0, 0]);
});

describe('NpCache: a range is the aligned blocks that it is made of', () => {
  const counters = (name: string, pages: number) => run(unmaps(1, 1, pages), loadMachine(name)).counters;
  test.each([
    // pages, commands of one page and of blocks, of the map and of the unmap
    [1, 2, 0],
    [2, 0, 2],
    [5, 2, 2], // 4 + 1
    [7, 2, 4], // 4 + 2 + 1
    [8, 0, 2],
  ])('of %i pages: %i single pages, %i blocks', (pages, single, blocks) => {
    expect(counters('amd-vi-virtual', pages)).toMatchObject({ N_IOTLB_PAGE: single, N_IOTLB_RANGE: blocks, N_WAIT: 2 });
  });

  test('without it one block covers the range, and a map is not invalidated', () => {
    expect(counters('amd-vi', 5)).toMatchObject({ N_IOTLB_PAGE: 0, N_IOTLB_RANGE: 1, N_WAIT: 1 });
  });

  test('the hypervisor reads no page more', () => {
    const exits = (cover: string) =>
      run(unmaps(1, 1, 5), set('amd-vi-virtual', `driver.range_cover=${cover}`)).causes.exit!;
    // A block of 8 against one of 4 and one of 1, whose path of two tables is read twice: map and unmap.
    const entry = loadCosts()['viommu.entry'].default * 1000;
    expect(exits('aligned') - exits('blocks')).toBe(2 * (8 - (4 + 1 + 2)) * entry);
  });

  test('a ring has to have room for them', () => {
    expect(() => set('amd-vi-virtual', 'iommu.ring=64')).toThrow('iommu.ring: read 64, expected 128 or more');
  });
});
