import { describe, expect, test } from 'vitest';
import { openBytes } from '../../../testing/program.ts';
import { engineModule } from '../../../testing/wasm.ts';
import { loadCosts, loadMachine, loadPolicy } from '../../catalog/catalog.ts';
import type { Job } from '../../jobs/job.ts';
import { runPass } from '../../jobs/pass.ts';
import type { RawRun } from '../../model/result.ts';
import { parseDevice } from '../../model/run.ts';
import { generateTrace, WORKLOADS, workloadNamed } from './index.ts';
import { parseSizes, type Sizes } from './workload.ts';

/** A workload as small as its test needs. */
function make(name: string, given: Partial<Record<keyof Sizes, string>>, seed = 1): Buffer {
  const workload = workloadNamed(name);
  const parts: Uint8Array[] = [];
  generateTrace(workload, parseSizes(workload, given), seed, { write: (bytes) => parts.push(bytes.slice()) });
  return Buffer.concat(parts);
}

/** What the engine says of it; memory is for half of the pages that are in use at most. */
function run(bytes: Buffer, policy: string, machine: string): RawRun {
  const trace = openBytes(bytes);
  const base = { policy: loadPolicy(policy), machine: loadMachine(machine), costs: loadCosts(), seed: 1, ideal: false };
  const dma: Job = { kind: 'dma', setup: { ...base, reuse: 'immediate', timeScale: 1 } };
  const cpus = trace.meta.agents.filter(({ kind }) => kind === 'cpu').length;
  const device = parseDevice('follow,every=50,active=50us,idle=50us');
  const mm: Job = { kind: 'machine', setup: { ...base, frames: 192, device, cpus, lookahead: 0 } };
  const jobs = [trace.meta.counts.maps > 0 ? dma : mm];
  return runPass(trace, jobs, engineModule('checked'), () => false)[0] as RawRun;
}

/** Tiny sizes, and a path that the workload is there for with the least number of times that it is taken. */
const MM: readonly [name: string, sizes: Partial<Record<keyof Sizes, string>>, path: string, least: number][] = [
  ['munmap-storm', { pages: '256', ops: '60' }, 'munmap', 50],
  ['madv-free', { pages: '384', ops: '200' }, 'reclaim_lazyfree', 50],
  ['madv-dontneed', { pages: '384', ops: '200' }, 'dontneed', 80],
  ['tlb-flush', { ops: '200', cpus: '3', busy: '1', pages: '4' }, 'dontneed', 200],
  ['jit-mprotect', { pages: '256', ops: '150' }, 'mprotect', 150],
  ['cow-storm', { pages: '384', ops: '600' }, 'cow', 200],
  ['fork-snapshot', { pages: '160', ops: '320' }, 'cow', 50],
  ['ksm-merge', { pages: '160', ops: '400' }, 'ksm_replace', 50],
  ['numa-migration', { pages: '160', ops: '400' }, 'migrate', 50],
  ['numa-balancing', { pages: '160', ops: '400' }, 'numa_hint', 50],
  ['numa-thp', { pages: '1100', ops: '400' }, 'numa_migrate', 50],
  ['thp-churn', { pages: '1100', ops: '400' }, 'thp_collapse', 30],
  ['dirty-tracking', { pages: '160', ops: '400' }, 'clear_refs', 5],
  ['shared-writeback', { pages: '160', ops: '400' }, 'page_mkclean', 20],
  ['sva-accelerator', { pages: '256', ops: '60', depth: '8' }, 'munmap', 100],
  ['pointer-chase', { pages: '384', ops: '2000' }, 'reclaim_swap', 500],
  ['gups', { pages: '384', ops: '2000' }, 'reclaim_swap', 500],
];
const DMA: readonly [name: string, sizes: Partial<Record<keyof Sizes, string>>][] = [
  ['nic-rx', { ops: '300', depth: '16', devices: '2' }],
  ['nic-tx', { ops: '200', depth: '8', cpus: '3' }],
  ['nvme', { ops: '300', depth: '4', pages: '8' }],
  ['viommu-nvme', { ops: '100', depth: '4', pages: '8', cpus: '1' }],
  ['rdma-registration', { ops: '60', pages: '24' }],
];
const ALL = [...MM.map(([name, sizes]) => [name, sizes] as const), ...DMA];

/** Has a test of its own. */
const ELSEWHERE = ['dma-window'];

test('every workload is tested', () => {
  expect([...ALL.map(([name]) => name), ...ELSEWHERE]).toEqual(WORKLOADS.map(({ name }) => name));
});

describe.each(ALL)('%s', (name, sizes) => {
  test('the same seed gives the same bytes, another seed others', () => {
    expect(make(name, sizes).equals(make(name, sizes))).toBe(true);
    expect(make(name, sizes, 2).equals(make(name, sizes))).toBe(false);
  });

  test('says that it was not recorded, and with what sizes', () => {
    const { source, inferred } = openBytes(make(name, sizes)).meta;
    expect(source.file).toMatch(new RegExp(`^${name}( --[a-z]+ \\d+)+ --seed 1$`));
    expect(inferred[0]).toMatch(/^Generated, not recorded; it imitates /);
  });
});

test.each(MM)('%s %j takes the path %s', (name, sizes, path, least) => {
  const { counters, paths } = run(make(name, sizes), 'under-lock', 'amd-v2');
  expect(paths[path]!.count).toBeGreaterThanOrEqual(least);
  expect(counters.N_DMA).toBeGreaterThan(0);
  expect([counters.N_S1_READ, counters.N_S1_WRITE, counters.N_S2, counters.N_S3]).toEqual([0, 0, 0, 0]);
});

test.each(DMA)('%s %j: strict is safe, and unsafe is lazy with a device that is late', (name, sizes) => {
  const bytes = make(name, sizes);
  const { counts } = openBytes(bytes).meta;
  const strict = run(bytes, 'strict', 'intel-vtd');
  expect(strict.paths.unmap!.count).toBe(counts.unmaps);
  expect(strict.counters.N_DMA).toBe(counts.dma);
  expect([strict.counters.N_STALE, strict.counters.N_DEVICE_FAULTS]).toEqual([0, 0]);
  const late = run(make(name, { ...sizes, late: '50' }), 'lazy', 'intel-vtd');
  expect(late.counters.N_S1_READ! + late.counters.N_S1_WRITE!).toBeGreaterThan(0);
});

test('instances are ended once each, by as many accesses as they had', () => {
  const events = [...openBytes(make('nvme', { ops: '100', pages: '9' })).chunks()].flatMap((chunk) => chunk.events);
  const [mapped, ended] = [new Set<number>(), new Set<number>()];
  const accesses = new Map<number, number>();
  for (const { op, fields } of events) {
    const [first, second, third, fourth] = fields as [number, number, number, number];
    if (op === 'map') mapped.add(second);
    if (op === 'dma') accesses.set(first, (accesses.get(first) ?? 0) + 1);
    if (op !== 'unmap') continue;
    let made = 0;
    for (let id = second; id < second + third; id++) {
      expect([mapped.has(id), ended.has(id)]).toEqual([true, false]);
      ended.add(id);
      made += accesses.get(id) ?? 0;
    }
    expect(made).toBe(fourth);
  }
  expect(ended).toEqual(mapped);
});

test.each([
  ['gups', { cpus: '2' }, 'gups has no --cpus, expected --pages, --ops'],
  ['nvme', { depth: '1' }, '--depth is "1", expected a whole number of 2..16384 (requests in flight per queue)'],
  ['nic-rx', { late: '101' }, '--late is "101", expected a whole number of 0..100'],
  ['nop', {}, 'no workload "nop", expected one of munmap-storm'],
])('%s %j: %s', (name, sizes, message) => {
  expect(() => make(name, sizes)).toThrow(message);
});
