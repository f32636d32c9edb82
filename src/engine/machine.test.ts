import fs from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openBytes, type Step, writeProgram } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { loadCosts, loadMachine, loadPolicy } from '../catalog/catalog.ts';
import type { CostKey, Costs } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import { type Machine, NO_CACHE } from '../model/machine.ts';
import type { PATH_NAMES } from '../model/path.ts';
import { checkPath, type Policy, parseSteps } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, type Follow, type RunSetup } from '../model/run.ts';
import { type ReferenceRun, referenceRun, Stuck } from '../reference/machine.ts';
import type { Program, ProgramChunk } from '../reference/program.ts';
import { Follower } from '../trace/generate/follow.ts';
import { KIND, Mappings } from '../trace/mappings.ts';
import { recordsOf } from '../trace/records.ts';
import type { Instance } from './load.ts';
import { MachineEngine } from './machine.ts';

const KINDS = Object.fromEntries(Object.entries(KIND).map(([name, code]) => [code, name])) as Record<
  number,
  keyof typeof KIND
>;

interface Outcome {
  readonly raw: RawRun;
  readonly freeFrames: number;
}

/** The same steps for both sides: the engine reads the trace's columns, the reference its records. */
export function runBoth(
  module: WebAssembly.Module,
  setup: RunSetup,
  steps: readonly Step[],
  refOnly = false,
): [Outcome | string, ReferenceRun | string] {
  const trace = openBytes(writeProgram({ interleaved: false, spaces: 1, agents: [0], steps }));
  const engine = new MachineEngine(module, setup, trace.meta);
  const follower = setup.device === null ? undefined : new Follower(setup.device, setup.seed);
  const mappings = new Mappings();
  const pages: { space: number; vpn: number }[] = [];
  const chunks: ProgramChunk[] = [];
  const stuck = (error: unknown): string => {
    if (error instanceof UsageError || error instanceof Stuck) return 'stuck';
    throw error;
  };
  let engineRun: Outcome | string = '';
  if (process.env.LOGRUN) {
    fs.writeFileSync('/tmp/twin/last.json', shown(setup) + '\n' + JSON.stringify(steps));
  }
  try {
    for (const chunk of trace.chunks()) {
      pages.push(...chunk.pages);
      const posts = follower?.posts(chunk);
      const records = [...recordsOf(chunk, pages)].map((record) => ('event' in record ? record.event : record.run));
      const work = Array.from({ length: (posts?.length ?? 0) / 2 }, (_, i) => {
        const word = posts![2 * i + 1]!;
        return { after: posts![2 * i]!, page: word >>> 1, write: (word & 1) === 1 };
      });
      const kinds = chunk.pages.map(({ vpn, space }) => ({ vpn, kind: KINDS[mappings.kindOf(space, vpn)]! }));
      chunks.push({ pages: kinds, records, posts: work });
      for (const event of chunk.events) mappings.apply(event);
      if (!refOnly) engine.feed(chunk, posts);
    }
    const raw = refOnly ? ({} as RawRun) : engine.finish();
    const { exports } = (engine as unknown as { instance: Instance<{ freeFrameCount(): number }> }).instance;
    engineRun = { raw, freeFrames: exports.freeFrameCount() };
  } catch (error) {
    engineRun = stuck(error);
  }
  const { counts } = trace.meta;
  const program: Program = { chunks, pages: counts.pages, dataOnly: counts.fetches === 0 };
  if (process.env.LOGRUN) {
    fs.appendFileSync('/tmp/twin/last.json', '\nengine done');
  }
  try {
    return [engineRun, referenceRun(setup, program)];
  } catch (error) {
    return [engineRun, stuck(error)];
  }
}

// ---- random programs ----

/** Page numbers of a few pages in several leaf tables, one range over a border between two. */
const REGIONS = [16, 3 * 512 + 504, 7 * 512, 40 * 512 + 100, 2 * 512 * 512 + 508];
const PAGES = 16;
const region = fc.constantFrom(...REGIONS);
const vpn = fc.tuple(region, fc.oneof(fc.nat(3), fc.nat(PAGES - 1))).map(([base, offset]) => base + offset);
const range = fc
  .tuple(region, fc.integer({ min: -2, max: PAGES - 1 }), fc.oneof(fc.integer({ min: 1, max: 3 }), fc.nat(PAGES)))
  .map(([base, offset, pages]): [number, number] => [base + offset, base + offset + pages]);

const event = (
  op: 'mmap' | 'munmap' | 'brk' | 'mremap' | 'mprotect' | 'madvise' | 'idle',
  fields: fc.Arbitrary<number[]>,
) => fields.map((fields): Step => ({ event: op, agent: 0, gap: 0, fields }));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc
      .tuple(fc.constantFrom('fetch', 'read', 'read', 'write', 'write'), vpn, fc.integer({ min: 0, max: 19 }))
      .map(([access, vpn, n]): Step => ({ access: access as 'read', agent: 0, vpn, straddle: n === 0 })),
    weight: 40,
  },
  {
    arbitrary: event(
      'mmap',
      fc.tuple(range, fc.nat(7)).map(([[first, end], flags]) => [0, first, end, 3, flags]),
    ),
    weight: 2,
  },
  {
    arbitrary: event(
      'munmap',
      range.map(([first, end]) => [0, first, end]),
    ),
    weight: 2,
  },
  {
    arbitrary: event(
      'brk',
      fc.tuple(fc.nat(PAGES), fc.nat(PAGES)).map(([a, b]) => [0, REGIONS[0]! + a, REGIONS[0]! + b]),
    ),
    weight: 1,
  },
  {
    arbitrary: event(
      'mremap',
      fc.tuple(range, region, fc.integer({ min: -2, max: PAGES - 1 })).map(([[first, end], to, offset]) => {
        return [0, first, end, to + offset, to + offset + end - first];
      }),
    ),
    weight: 2,
  },
  {
    arbitrary: event(
      'mprotect',
      fc.tuple(range, fc.nat(3)).map(([[first, end], prot]) => [0, first, end, prot]),
    ),
    weight: 2,
  },
  {
    arbitrary: event(
      'madvise',
      fc.tuple(range, fc.constantFrom(4, 8)).map(([[first, end], advice]) => [0, first, end, advice]),
    ),
    weight: 4,
  },
  { arbitrary: event('idle', fc.constant([])), weight: 1 },
);
const steps = fc
  .array(step, { maxLength: 300, size: 'max' })
  .map((steps): Step[] => [...steps, { access: 'read', agent: 0, vpn: REGIONS[0]!, straddle: false }]);

/** Runs of one page: what a trace is mostly made of. */
const longer = fc
  .tuple(steps, fc.integer({ min: 1, max: 12 }))
  .map(([steps, times]) =>
    steps.flatMap((step) => ('access' in step && !step.straddle ? Array<Step>(times).fill(step) : [step])),
  );

// ---- random machines ----

const geometry = (ways: number) =>
  fc.record({ sets: fc.integer({ min: 1, max: 3 }), ways: fc.integer({ min: 1, max: ways }) });
const perhaps = (ways: number) =>
  fc.oneof({ arbitrary: geometry(ways), weight: 3 }, { arbitrary: fc.constant(NO_CACHE), weight: 1 });
const walkCache = fc.record({ pml4e: perhaps(2), pdpte: perhaps(2), pde: perhaps(2) });
const MACHINES = ['amd-v2', 'intel-svm', 'intel-svm-nodis'].map((name) => loadMachine(name));

const machine: fc.Arbitrary<Machine> = fc
  .record({
    base: fc.constantFrom(...MACHINES),
    cpu: fc.record({
      l1i: geometry(3),
      l1d: geometry(4),
      l2: perhaps(5),
      walkCache,
      flushCeiling: fc.constantFrom(0, 2, 33),
    }),
    iommu: fc.record({
      ring: fc.constantFrom(3, 4, 5, 16),
      iotlb: geometry(6),
      walkCache,
      walkers: fc.integer({ min: 1, max: 3 }),
    }),
    device: fc.record({
      ats: fc.constantFrom(true, true, true, false),
      deviceTlb: geometry(6),
      outstanding: fc.integer({ min: 1, max: 8 }),
      atcOnIdle: fc.constantFrom('keep', 'keep', 'drop'),
    }),
  })
  .map(({ base, cpu, iommu, device }) => ({
    ...base,
    cpu: { ...base.cpu, ...cpu },
    iommu: { ...base.iommu, ...iommu },
    device: { ...base.device, ...device } as Machine['device'],
  }));

const device: fc.Arbitrary<Follow> = fc.record({
  every: fc.integer({ min: 1, max: 6 }),
  write: fc.constantFrom(0, 0.3, 0.7, 1),
  active: fc.constantFrom(1e5, 2e6, 3e7),
  idle: fc.constantFrom(0, 1e5, 3e6, 2e7),
  ats: fc.constantFrom(true, true, true, false),
});

const SHIPPED = ['linux-4.14', 'linux-4.15', 'linux-6.6', 'under-lock', 'range-end'].map((name) => loadPolicy(name));

/** A policy with some of its lists replaced. */
function variant(base: Policy, name: string, texts: Partial<Record<(typeof PATH_NAMES)[number], string>>): Policy {
  const paths = { ...base.mm!.paths };
  for (const [path, text] of Object.entries(texts)) {
    const key = path as (typeof PATH_NAMES)[number];
    paths[key] = parseSteps(text, name);
    checkPath(paths[key], key, name);
  }
  return { ...base, name, mm: { paths } };
}

const BY_NAME = Object.fromEntries(SHIPPED.map((policy) => [policy.name, policy])) as Record<string, Policy>;

/** Orders that are wrong on purpose, and some that ship nowhere. */
const ODD: Policy[] = [
  variant(BY_NAME['range-end']!, 'free first', {
    munmap: 'RS { LK PC RR UL } FREE RE! CF SI',
    dontneed: 'RS { LK PC RR UL } RE CF FREE SI',
    reclaim_swap: '{ RS LK PC CF PS(swp) RR PP UL RE } CF { PPc FREE SI }',
    reclaim_file: '{ RS LK PC RR PP UL PPc FREE RE! } CF { PPc }'.replace(
      ' PPc FREE RE! } CF { PPc }',
      ' RE } CF { PPc FREE SI }',
    ),
    cow: 'RS LK PC CF PS(new) RR PP UL PPc FREE RE!',
  }),
  variant(BY_NAME['under-lock']!, 'late', {
    cow: 'RS LK PS(new) CF RR PP UL SI RE PPc FREE',
    mprotect: '{ RS LK PC PS(ro) UL RE } CF RET',
    mremap: 'RS { LK PC PS(moved) UL } CF SI RE',
    madv_free: '{ RS LK PC PS(clean) UL SI CF RE }',
  }),
  variant(BY_NAME['linux-6.6']!, 'batched', {
    reclaim_swap: '{ RS LK PC CFq PS(swp) RR PP UL RE } CF SI { PPc FREE }',
    reclaim_file: '{ RS LK PC CFq PS(none) RR PP UL RE } CF SI* { PPc FREE }',
    reclaim_lazyfree: '{ RS LK PC CFq RR PP UL RE } SI* CF { PPc FREE }',
    reclaim_redirtied: '{ RS LK PC CFq PS(old) UL RE } CF SI { PPc }',
    munmap: 'RS { LK PC RR UL CF SI FREE } RE FREE',
    dontneed: '{ RS LK PC RR UL RE! FREE } CF',
  }),
];

const COSTS = loadCosts();
const costs: fc.Arbitrary<Costs> = fc
  .array(
    fc.tuple(
      fc.constantFrom<CostKey>(
        'device.dma_latency',
        'iotlb.inv_page',
        'iotlb.inv_pasid',
        'device_tlb.inv',
        'qi.wait',
        'amd.wait',
        'fault.minor',
        'fault.swap_in',
        'device.think',
        'ats.translation',
        'iommu.walk_ref',
        'device.page_request',
        'pte.clear',
        'pte.set',
        'ptl.acquire',
        'ptl.release',
        'qi.submit',
        'cpu.ipi_first',
        'page.zero',
        'cpu.l2_hit',
        'cpu.walk_ref_leaf',
        'cpu.fetch',
      ),
      fc.constantFrom(0, 1, 40, 700, 20_000),
    ),
    { maxLength: 6 },
  )
  .map((changes) => {
    const changed = { ...COSTS };
    for (const [key, value] of changes) changed[key] = { ...COSTS[key], default: value };
    return changed;
  });

export function setupOf(json: any): RunSetup {
  const policy = [...SHIPPED, ...ODD].find(({ name }) => name === json.policy)!;
  const base = loadMachine(json.machine);
  const c = { ...COSTS } as any;
  for (const change of json.changed) {
    const [key, value] = change.split('=');
    c[key] = { ...c[key], default: Number(value) };
  }
  const machine = { ...base, cpu: json.cpu, iommu: json.iommu, device: json.mdevice, driver: json.driver };
  return {
    policy,
    machine,
    costs: c,
    seed: json.seed,
    frames: json.frames,
    device: json.device,
    ideal: json.ideal,
    lookahead: json.lookahead,
  };
}
/** What a failure prints of a setup. */
function shown(setup: RunSetup): string {
  const { policy, machine, costs, ...rest } = setup;
  const { cpu, iommu, device, driver } = machine;
  const changed = Object.entries(costs).flatMap(([key, cost]) =>
    cost === COSTS[key as CostKey] ? [] : `${key}=${cost.default}`,
  );
  return JSON.stringify({
    policy: policy.name,
    machine: machine.name,
    cpu,
    iommu,
    mdevice: device,
    driver,
    changed,
    ...rest,
  });
}

const setup: fc.Arbitrary<RunSetup> = fc
  .record({
    policy: fc.constantFrom(...SHIPPED, ...ODD),
    machine,
    costs,
    seed: fc.nat(),
    frames: fc.oneof(fc.constant(null), fc.integer({ min: 6, max: 70 })),
    device: fc.oneof({ arbitrary: device, weight: 6 }, { arbitrary: fc.constant(null), weight: 1 }),
    ideal: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    lookahead: fc.constantFrom(0, DEFAULT_LOOKAHEAD),
  })
  .map((setup) => Object.defineProperty(setup, fc.toStringMethod, { value: () => shown(setup) }));

describe.each(BUILDS)('%s engine', (build) => {
  const module = engineModule(build);

  test('numbers are those of the reference, whatever the program, the machine and the policy', () => {
    const reached: Record<string, number> = {};
    fc.assert(
      fc.property(setup, longer, (setup, steps) => {
        const [engine, reference] = runBoth(module, setup, steps);
        if (typeof engine === 'string' || typeof reference === 'string') {
          expect(engine).toBe(reference);
          reached.stuck = (reached.stuck ?? 0) + 1;
          return;
        }
        expect(engine.raw).toEqual(reference.raw);
        expect(engine.freeFrames).toBe(reference.freeFrames);
        for (const [what, times] of Object.entries(reference.reached)) reached[what] = (reached[what] ?? 0) + times;
        for (const [what, times] of Object.entries(engine.raw.counters)) reached[what] = (reached[what] ?? 0) + times;
      }),
      {
        seed: Number(process.env.SEED ?? 7),
        numRuns: Number(process.env.RUNS ?? 100),
        endOnFailure: process.env.SHRINK === undefined,
      },
    );
    console.log(reached);
  });
});
