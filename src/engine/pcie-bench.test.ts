import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Recording, runDmaEngine } from '../../testing/recording.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadCosts, loadMachine, loadPolicy, withSetting } from '../catalog/catalog.ts';
import type { Machine } from '../model/machine.ts';
import type { Replacement } from '../model/tlb.ts';
import type { Trace } from '../trace/reader.ts';

/** A host of traces/outside/pcie-bench.tsv: its fit, and what the device measured. */
interface Host {
  readonly name: string;
  readonly entries: number;
  readonly miss: number;
  readonly interval: number;
  readonly points: readonly { readonly window: string; readonly pages: number; readonly delta: number }[];
}

const PAGES = { K: 1 / 4, M: 256 } as const;
const hosts = readHosts();

function readHosts(): Host[] {
  const text = readFileSync(new URL('../../traces/outside/pcie-bench.tsv', import.meta.url), 'utf8');
  const found: (Omit<Host, 'points'> & { points: Host['points'][number][] })[] = [];
  for (const line of text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))) {
    const [what, name, ...cells] = line.split('\t') as [string, string, ...string[]];
    const value = Object.fromEntries(cells.map((cell) => cell.split('='))) as Record<string, string>;
    const number = (key: string): number => Number(value[key]);
    if (what === 'host') {
      found.push({ name, entries: number('entries'), miss: number('miss'), interval: number('interval'), points: [] });
    } else if (!value.off!.endsWith('?')) {
      const pages = Number.parseFloat(name) * PAGES[name.at(-1) as keyof typeof PAGES];
      found.at(-1)!.points.push({ window: name, pages, delta: number('on') - number('off') });
    }
  }
  return found;
}

const READS = 12_000;
const PS_PER_NS = 1000;

/** Random reads over a window of 4 KiB pages, after each of its first pages was read once. */
function reads(pages: number, count: number): Trace {
  const recording = new Recording({ cpus: 1, domains: 1, devices: [0] });
  const id = recording.map(1, { pages });
  const read = (page: number): void => recording.dma(id, { page, write: 0, device: 1 });
  for (let page = 0; page < Math.min(pages, 256); page++) read(page);
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    read(Math.floor((state / 2 ** 32) * pages));
  }
  return recording.open();
}

const traces = new Map<string, Trace>();
function traceOf(pages: number, count: number): Trace {
  const key = `${pages} ${count}`;
  const trace = traces.get(key) ?? reads(pages, count);
  traces.set(key, trace);
  return trace;
}

/** xeon-2015 with the fit's entries and miss cost; the rest of it as it is. */
function setupOf({ entries, miss }: Pick<Host, 'entries' | 'miss'>, outstanding: number, replacement: Replacement) {
  const settings = [`iommu.iotlb=1x${entries} ${replacement}`, `device.outstanding=${outstanding}`];
  const machine = settings.reduce<Machine>(
    (m, setting) => withSetting(m, `machine.${setting}`),
    loadMachine('xeon-2015'),
  );
  const costs = loadCosts();
  const start = miss - costs['iommu.walk_ref'].default;
  return { machine, costs: withSetting(costs, `cost.iommu.walk_start=${start}`) };
}

/** Mean time of a read in ns. */
function time(
  host: Pick<Host, 'entries' | 'miss'>,
  pages: number,
  policy: string,
  outstanding = 1,
  replacement: Replacement = 'lru',
) {
  const fixed = { seed: 1, reuse: 'immediate', timeScale: 1, ideal: false } as const;
  const setup = { ...fixed, ...setupOf(host, outstanding, replacement), policy: loadPolicy(policy) };
  const elapsed = (count: number): number =>
    runDmaEngine(engineModule('release'), setup, traceOf(pages, count))!.elapsed;
  return (elapsed(READS) - elapsed(0)) / READS / PS_PER_NS;
}

/** A read without an IOMMU takes the same everywhere; see the last test. */
const bare = time(hosts[0]!, 1, 'passthrough');

/** What the IOMMU adds to a read, one in flight. */
const added = (host: Pick<Host, 'entries' | 'miss'>, pages: number, replacement: Replacement = 'lru'): number =>
  time(host, pages, 'strict', 1, replacement) - bare;

describe.each(hosts)('$name: what a device measured, to 5 ns', (host) => {
  test.each(host.points)('window $window', ({ pages, delta }) => {
    expect(Math.abs(added(host, pages) - delta)).toBeLessThan(5);
  });

  test('five walkers: reads at full rate, to 12 %', () => {
    const { miss, entries, interval } = host;
    const pages = 16_384;
    const simulated = time(host, pages, 'strict', 32);
    expect(simulated / ((miss / 5) * (1 - entries / pages))).toBeCloseTo(1, 1);
    expect(Math.abs(simulated / interval - 1)).toBeLessThan(0.12);
  });
});

test('the table has the points it had: 13 windows of four hosts, two of them not compared', () => {
  expect(hosts.map(({ points }) => points.length)).toEqual([13, 13, 12, 12]);
});

test('which entry makes room does not show under random reads', () => {
  const [host] = hosts;
  for (const replacement of ['fifo', 'plru', 'random'] as const) {
    const { pages, delta } = host!.points.find(({ window }) => window === '1M')!;
    expect(Math.abs(added(host!, pages, replacement) - delta), replacement).toBeLessThan(5);
  }
});

test('the 64 entries of the literature are not what was measured', () => {
  for (const host of hosts) {
    const { pages, delta } = host.points.find(({ window }) => window === '512K')!;
    expect(added({ ...host, entries: 64 }, pages) - delta, host.name).toBeGreaterThan(80);
  }
});

test('a read without an IOMMU takes as long in a large window', () => {
  expect(time(hosts[1]!, 16_384, 'passthrough')).toBe(bare);
});
