import { describe, expect, test } from 'vitest';
import { costsWith, runEngine, traceOf } from '../../testing/machine.ts';
import type { Step } from '../../testing/program.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import type { CostKey } from '../model/cost.ts';
import { HAZARDS, type HazardName } from '../model/hazard.ts';
import type { RawRun } from '../model/result.ts';
import type { RunSetup } from '../model/run.ts';

const NS = 1e3;
const DONTNEED = 4;
const FREE = 8;
const PAGES = 48;

/** What becomes of pages: they are discarded, or may be, or the whole table of them is unmapped and mapped anew. */
type Ends = 'dontneed' | 'free' | 'table';

/** Pages are written, read, given up in ones and threes, and written again; the device works on all of it. */
function program(steps: number, ends: Ends): Step[] {
  let state = 1;
  const draw = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % below;
  };
  return Array.from({ length: steps }, (_, i): Step => {
    const vpn = 1025 + draw(PAGES);
    if (ends === 'table' && i % 50 === 48) return { event: 'munmap', agent: 0, gap: 0, fields: [0, 1024, 1536] };
    if (ends === 'table' && i % 50 === 49) return { event: 'mmap', agent: 0, gap: 0, fields: [0, 1024, 1536, 3, 2] };
    if (ends === 'table' || draw(8) > 0)
      return { access: draw(3) > 0 ? 'write' : 'read', agent: 0, vpn, straddle: false };
    const pages = draw(2) === 0 ? 1 : 3;
    return { event: 'madvise', agent: 0, gap: 0, fields: [0, vpn, vpn + pages, ends === 'free' ? FREE : DONTNEED] };
  });
}
const traces = new Map((['dontneed', 'free', 'table'] as const).map((ends) => [ends, traceOf(program(1500, ends))]));

interface Case {
  readonly machine: string;
  readonly policy?: string;
  readonly costs?: readonly [CostKey, number][];
  /** Of the device, microseconds on and off. */
  readonly phases?: readonly [number, number];
  readonly frames?: number;
  /** Of the IOMMU. */
  readonly maxAm?: number;
  /** Another hazard, in both runs. */
  readonly with?: HazardName;
  readonly ends?: Ends;
  /** Counters of the property that breaks; S1 if there are none. */
  readonly breaks?: readonly string[];
}
/** Where each of them shows, and the same run without it breaks nothing. */
const CASES: Partial<Record<HazardName, Case>> = {
  'am-not-widened': { machine: 'intel-svm-nodis' },
  'device-tlb-before-iotlb': { machine: 'amd-v2' },
  'activation-without-flush': { machine: 'intel-svm', phases: [20, 20] },
  'read-then-set': { machine: 'intel-svm', phases: [20, 5], costs: [['deferral.mark', 5000]] },
  'translated-while-idle': { machine: 'intel-svm', phases: [20, 20] },
  'completion-before-posted-writes': { machine: 'amd-v2', costs: [['device.dma_latency', 20_000]] },
  'overtaking-completion': { machine: 'amd-v2', costs: [['ats.translation', 20_000], ['device_tlb.inv', 500]] },
  'aborted-wait-as-done': { machine: 'intel-svm-nodis', with: 'lost-invalidation' },
  'lost-invalidation': { machine: 'amd-v2' },
  'device-without-tag': { machine: 'intel-sva-2dev' },
  'malformed-command': { machine: 'intel-svm-nodis' },
  'mamv-not-checked': { machine: 'intel-svm-nodis', maxAm: 1 },
  'clean-keeps-device-tlb': { machine: 'amd-v2', ends: 'free', breaks: ['N_S4'] },
  'leaf-only': { machine: 'intel-svm-nodis', policy: 'linux-6.6', ends: 'table', breaks: ['N_S5'] },
  'no-caller-ref': { machine: 'amd-v2', policy: 'range-end', frames: 40 },
}; // biome-ignore format: a table

function setupOf(hazards: HazardName[], options: Case): RunSetup {
  const { machine, policy = 'under-lock', costs = [], phases = [5000, 0], frames = null } = options;
  const base = loadMachine(machine);
  return {
    policy: loadPolicy(policy),
    machine: {
      ...base,
      hazards,
      iommu: { ...base.iommu, maxAm: options.maxAm ?? base.iommu.maxAm },
      driver: { ...base.driver, rangeCover: 'aligned' },
    },
    costs: costsWith(costs),
    seed: 1,
    frames,
    device: { every: 1, write: 0.7, active: phases[0] * 1000 * NS, idle: phases[1] * 1000 * NS, ats: true },
    ideal: false,
    cpus: 1,
    lookahead: 0,
  };
}
const counted = ({ counters }: RawRun, ...names: string[]): number =>
  names.reduce((sum, name) => sum + counters[name]!, 0);

describe.each(Object.entries(CASES) as [HazardName, Case][])('%s', (name, options) => {
  const also = options.with === undefined ? [] : [options.with];
  const run = (hazards: HazardName[]): RawRun =>
    runEngine(engineModule('checked'), setupOf(hazards, options), traces.get(options.ends ?? 'dontneed')!)!.raw;

  const breaks = options.breaks ?? ['N_S1_READ', 'N_S1_WRITE'];
  test(`breaks ${breaks.join(' ')}`, () => {
    expect(counted(run([...also, name]), ...breaks)).toBeGreaterThan(0);
  });
  test('and without it the same run breaks nothing and exposes nothing', () => {
    const clean = run(also);
    expect(counted(clean, 'N_S1_READ', 'N_S1_WRITE', 'N_S2', 'N_S3', 'N_S4', 'N_S5', 'N_EXPOSED')).toBe(0);
    expect(counted(clean, 'N_IN_FLIGHT')).toBeGreaterThan(0);
  });
});

test('of two devices behind an IOMMU the one without a tag breaks what it breaks, and the other nothing', () => {
  const setup = setupOf(['device-without-tag'], { machine: 'intel-sva-2dev' });
  const { devices } = runEngine(engineModule('checked'), setup, traces.get('dontneed')!)!.raw;
  const broken = devices!.map(({ counters }) => counters.N_S1_READ! + counters.N_S1_WRITE!);
  expect([broken[0], broken[1]! > 0]).toEqual([0, true]);
  expect(devices!.map(({ counters }) => counters.N_DEVICE_TLB! > 0)).toEqual([true, false]);
});

test('freed tables without the mmu_gather flush: nothing is flushed behind the entry above, with no hazard', () => {
  const broken = (policy: string): number => {
    const setup = setupOf([], { machine: 'amd-v2', policy });
    return counted(runEngine(engineModule('checked'), setup, traces.get('table')!)!.raw, 'N_S5');
  };
  expect(broken('range-end-no-gather')).toBeGreaterThan(0);
  for (const policy of ['under-lock', 'range-end', 'linux-4.10', 'linux-4.15', 'linux-6.6'])
    expect(broken(policy), policy).toBe(0);
});

test('every hazard that breaks something has such a pair of runs, here, in the tests of DMA recordings, or in those of races', () => {
  const dma = ['no-drain', 'shared-domain-id', 'no-flush-on-map'];
  const harmless = ['answered-twice'];
  const races = [
    'iova-before-flush',
    'no-request-drain',
    'release-flushes-other-pasid',
    'overtaken-walk',
    'reuse-by-mapcount',
    'reuse-keeps-device-tlb',
    'reuse-keeps-pasid-entry',
  ];
  expect([...Object.keys(CASES), ...dma, ...races, ...harmless].sort()).toEqual(Object.keys(HAZARDS).sort());
});
