import { expect, test } from 'vitest';
import type { RunResult } from '../model/result.ts';
import { consumerSentences, deviceSentences } from './consumers.ts';

const NONE = { over_invalidated: 0, device_stall_ns: 0, device_faults: 0, page_requests: 0, violations: {} };
const accesses = (dma: number, hits: number, stale_uses: number) => ({
  ...NONE,
  dma,
  stale_uses,
  tlb: { iotlb: { hits: 1, misses: 2 }, device_tlb: { hits, misses: 4 } },
});
const run = (policy: string, machine: string, parts: Partial<RunResult>) =>
  ({ policy, machine, ...parts }) as RunResult;

test('of several consumers and several devices, a line each under a line for their machine', () => {
  const consumers = ['a', 'b'].map((machine, i) => ({
    machine,
    callback_ns: 2.5e6,
    invalidations: { secondary: 1000 + i },
    ...accesses(7, 3, 1),
  }));
  const devices = ['dev0', 'dev1'].map((device, i) => ({
    machine: 'two',
    device,
    device_tlb: 12_345,
    ...accesses(20 + i, 5, i),
  }));
  const runs = [
    run('p', 'one', {}),
    run('p', 'several', { consumers }),
    run('p', 'two', { devices }),
    run('q', 'two', { devices }),
  ];
  expect(consumerSentences(runs)).toEqual([
    'consumers  of several, as they are called: invalidations, time in callbacks, accesses',
    '           p            a                       1,000 inval.       2.50 ms          7 accesses       1 stale',
    '                        b                       1,001 inval.       2.50 ms          7 accesses       1 stale',
  ]);
  expect(deviceSentences(runs)).toEqual([
    'devices    of two, behind one IOMMU, given work by turns: TLB requests, hits, accesses',
    '           p            dev0       12,345 inval.          5 hits         20 accesses       0 stale',
    '                        dev1       12,345 inval.          5 hits         21 accesses       1 stale',
    '           q            dev0       12,345 inval.          5 hits         20 accesses       0 stale',
    '                        dev1       12,345 inval.          5 hits         21 accesses       1 stale',
  ]);
});
