import fc from 'fast-check';
import { loadMachine, loadPolicy } from '../src/catalog/catalog.ts';
import type { CostKey } from '../src/model/cost.ts';
import { type DmaSetup, REUSES } from '../src/model/dma.ts';
import type { HazardName } from '../src/model/hazard.ts';
import type { Command, Machine } from '../src/model/machine.ts';
import type { Policy } from '../src/model/policy.ts';
import { PROT } from '../src/model/trace.ts';
import type { Trace } from '../src/trace/reader.ts';
import { DRAWN_HAZARDS, geometry, hint, perhaps, walkDrops } from './draw.ts';
import { COSTS, costsWith } from './machine.ts';
import { type Actors, Recording } from './recording.ts';

const NS = 1e3;
const US = 1e6;

// ---- random recordings ----

/** One line of a recording; numbers are taken modulo what there is. */
type Line =
  /** A scatter list of one or more pieces. */
  | { readonly what: 'map'; readonly pieces: readonly number[]; readonly frame: number; readonly prot: number }
  /** By one CPU; by each of them, without a pause. */
  | { readonly what: 'unmap' | 'burst' }
  | { readonly what: 'dma' | 'late' | 'raw'; readonly page: number; readonly write: number; readonly late: number }
  | { readonly what: 'idle' };
type Step = Line & { readonly who: number; readonly pick: number; readonly gap: number };

/** A random recording, in the order of its lines. */
export interface DmaProgram {
  readonly actors: Actors;
  /** Mappings are ended by the first CPU, whoever has made them. */
  readonly remote: boolean;
  readonly steps: readonly Step[];
}

const time = fc.constantFrom(0, 0, 0, 50 * NS, 400 * NS, US, 5 * US, 40 * US);
const piece = fc.oneof(
  { arbitrary: fc.constant(1), weight: 12 },
  { arbitrary: fc.integer({ min: 2, max: 9 }), weight: 2 },
  { arbitrary: fc.constant(33), weight: 1 },
);
const access = { page: fc.nat(40), write: fc.nat(1), late: time };
const line: fc.Arbitrary<Line> = fc.oneof(
  {
    arbitrary: fc.record({
      what: fc.constant('map' as const),
      pieces: fc.oneof(
        { arbitrary: piece.map((pages) => [pages]), weight: 4 },
        { arbitrary: fc.array(piece, { minLength: 2, maxLength: 3 }), weight: 1 },
      ),
      frame: fc.nat(12),
      prot: fc.constantFrom(PROT.read | PROT.write, PROT.read | PROT.write, PROT.write, PROT.read),
    }),
    weight: 6,
  },
  // As long as a large leaf, and aligned like one, or not.
  {
    arbitrary: fc
      .tuple(fc.constantFrom(512, 600), fc.constantFrom(0, 0, 512, 7))
      .map(([pages, frame]) => ({ what: 'map' as const, pieces: [pages], frame, prot: PROT.read | PROT.write })),
    weight: 1,
  },
  { arbitrary: fc.record({ what: fc.constantFrom('unmap', 'unmap', 'unmap', 'burst') }), weight: 5 },
  { arbitrary: fc.record({ what: fc.constant('dma' as const), ...access }), weight: 9 },
  { arbitrary: fc.record({ what: fc.constant('late' as const), ...access }), weight: 5 },
  { arbitrary: fc.record({ what: fc.constant('raw' as const), ...access }), weight: 1 },
  { arbitrary: fc.record({ what: fc.constant('idle' as const) }), weight: 1 },
);
const step: fc.Arbitrary<Step> = fc
  .tuple(line, fc.record({ who: fc.nat(11), pick: fc.nat(99), gap: time }))
  .map(([line, rest]) => ({ ...line, ...rest }));

const actors: fc.Arbitrary<Actors> = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 }))
  .map(([cpus, domains, devices]) => ({
    cpus,
    domains,
    devices: Array.from({ length: devices }, (_, i) => i % domains),
  }));

/** Random recordings: what a step cannot do at its place is left out. */
const recordings: fc.Arbitrary<DmaProgram> = fc.record({
  actors,
  remote: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  steps: fc.array(step, { minLength: 20, maxLength: 130, size: 'max' }),
});

/** The program as a trace. */
export function recordingOf({ actors, remote, steps }: DmaProgram): Trace {
  const { cpus, domains, devices } = actors;
  const recording = new Recording(actors);
  interface List {
    readonly first: number;
    readonly pieces: readonly number[];
    readonly space: number;
    accesses: number;
  }
  const live: List[] = [];
  const ended: List[] = [];
  for (const step of steps) {
    const { who, pick, gap } = step;
    const cpu = remote && cpus > 1 ? 1 + (who % (cpus - 1)) : who % cpus;
    const space = who % domains;
    if (step.what === 'idle') recording.event(who % (cpus + devices.length), 'idle', [], gap);
    else if (step.what === 'map') {
      const { pieces, prot } = step;
      const ids = pieces.map((pages, i) => {
        const joined = i === 0 ? 0 : 1;
        return recording.map(step.frame + i, { pages, space, gap: i === 0 ? gap : 0, joined, prot, cpu });
      });
      live.push({ first: ids[0]!, pieces, space, accesses: 0 });
    } else if (step.what === 'unmap' || step.what === 'burst') {
      const burst = step.what === 'burst';
      const lists = live.splice(pick % Math.max(1, live.length), burst ? cpus : 1);
      for (const [i, { first, pieces, space, accesses }] of lists.entries()) {
        const caller = burst ? i : remote ? 0 : cpu;
        recording.unmap(first, { accesses, instances: pieces.length, space, gap: burst ? 0 : gap, cpu: caller });
      }
      ended.unshift(...lists);
    } else if (step.what === 'raw') {
      recording.event(cpus + (who % devices.length), 'dmaRaw', [space, pick, 0, step.write], gap);
    } else if (step.what === 'dma' || step.what === 'late') {
      const late = step.what === 'late';
      // What was unmapped last is what a late device most often looks at.
      const list = late ? ended[pick % Math.min(4, Math.max(1, ended.length))] : live[pick % Math.max(1, live.length)];
      if (list === undefined) continue;
      const own = [...devices.keys()].filter((device) => devices[device] === list.space);
      if (own.length === 0) continue;
      if (!late) list.accesses++;
      const index = step.page % list.pieces.length;
      recording.dma(list.first + index, {
        page: step.page % list.pieces[index]!,
        write: step.write,
        late: late ? step.late : -1,
        gap,
        device: cpus + own[who % own.length]!,
      });
    }
  }
  return recording.open();
}

// ---- random machines ----

const words = (text: string): Command[] => text.split(' ') as Command[];

/** What shipped drivers never submit: too much. */
const CRUDE_DRIVER = {
  page: words('iotlb.domain device_tlb.page wait'),
  range: words('iotlb.global wait device_tlb.all wait'),
  all: words('iotlb.global device_tlb.all wait'),
};

/** A range takes as many commands as it has aligned blocks. */
const BLOCKS = { rangeCover: 'blocks' } as const;
const ROOM_FOR_BLOCKS = { ring: 128 } as const;

const machine: fc.Arbitrary<Machine> = fc
  .record({
    base: fc.constantFrom('intel-vtd', 'amd-vi').map((name) => loadMachine(name)),
    hz: fc.constantFrom(250, 50_000, 1_000_000),
    iommu: fc.record({
      ring: fc.constantFrom(6, 6, 7, 16),
      iotlb: geometry(6),
      iotlbLarge: fc.oneof(fc.constant('shared' as const), perhaps(2)),
      iotlbHuge: fc.oneof(fc.constant('shared' as const), perhaps(2)),
      walkCache: fc.record({ pml4e: perhaps(2), pdpte: perhaps(2), pde: perhaps(2) }),
      walkDrops,
      walkers: fc.integer({ min: 1, max: 3 }),
      contextReads: fc.nat(2),
      maxAm: fc.constantFrom(0, 2, 18),
      shadowed: fc.integer({ min: 0, max: 2 }).map((n) => n === 0),
    }),
    device: fc.record({
      ats: fc.boolean(),
      deviceTlb: geometry(6),
      itags: fc.constantFrom(1, 1, 2, 32),
      outstanding: fc.integer({ min: 1, max: 5 }),
    }),
    iova: fc.record({
      limitPfn: fc.constantFrom(0x1ff, 0xfff, 0x1fff),
      magazine: fc.integer({ min: 1, max: 3 }),
      depot: fc.integer({ min: 0, max: 2 }),
      sizes: fc.constantFrom(0, 1, 3, 6),
    }),
    map: fc
      .constantFrom('', '', 'iotlb.range wait', 'iotlb.page device_tlb.page wait')
      .map((text) => (text === '' ? [] : words(text))),
    ih: hint,
    pageSizes: fc.constantFrom<Machine['driver']['pageSizes']>(['4K'], ['4K', '2M'], ['4K', '2M', '1G']),
    batch: fc.constantFrom(0, 0, 1, 2, 16),
    domainLock: fc.boolean(),
    blocks: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    crude: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    hazards: fc.oneof(
      { arbitrary: fc.constant<HazardName[]>([]), weight: 3 },
      { arbitrary: fc.subarray(DRAWN_HAZARDS, { minLength: 1, maxLength: 3 }), weight: 1 },
      // Rare: they show where two domains, or a map and an entry before it, meet.
      { arbitrary: fc.constantFrom<HazardName[]>(['shared-domain-id'], ['no-flush-on-map']), weight: 1 },
    ),
  })
  .map(({ base, hz, iommu, device, iova, map, ih, pageSizes, batch, domainLock, blocks, crude, hazards }) => ({
    ...base,
    hz,
    iommu: { ...base.iommu, ...iommu, ...(blocks ? ROOM_FOR_BLOCKS : {}) },
    device: { ...base.device, ...device },
    driver: {
      ...base.driver,
      map,
      ih,
      pageSizes,
      batch,
      domainLock,
      poll: base.iommu.commands === 'amd' || (crude && domainLock) ? 'held' : 'retaken',
      ...(blocks ? BLOCKS : {}),
      ...(crude && base.iommu.commands === 'vtd' ? CRUDE_DRIVER : {}),
    },
    iova,
    hazards,
  }));

/** Flush queues that are soon full, or soon old. */
const lazy: fc.Arbitrary<Policy> = fc
  .record({
    unmap: fc.constant('lazy' as const),
    queueSize: fc.constantFrom(2, 3, 5, 256),
    timeoutMs: fc.constantFrom(0.0001, 0.002, 0.05, 10),
    queues: fc.constantFrom('cpu', 'single'),
    flush: fc.constantFrom('domain', 'domain', 'each-domain', 'global', 'global', 'global'),
  })
  .map((dma) => ({ ...loadPolicy('lazy'), dma }));

const PRICED: CostKey[] = [
  'iova.alloc', 'iova.alloc_slow', 'iova.free', 'iova.free_slow', 'fq.enqueue', 'io_pte.map_call', 'io_pte.map_page',
  'io_pte.unmap_call', 'io_pte.unmap_page', 'qi.submit', 'qi.extra', 'qi.wait', 'amd.submit', 'amd.extra', 'amd.wait',
  'iotlb.inv_page', 'iotlb.inv_domain', 'iotlb.inv_global', 'device_tlb.inv', 'iommu.iotlb_hit', 'iommu.walk_start',
  'iommu.walk_ref', 'ats.translation', 'device_tlb.inv', 'device_tlb.inv', 'viommu.exit', 'viommu.entry', 'device.translate_hit', 'device.dma_latency', 'ptl.handoff',
]; // biome-ignore format: a table
const costs = fc
  .array(fc.tuple(fc.constantFrom(...PRICED), fc.constantFrom(0, 1, 40, 700, 20_000)), { maxLength: 8 })
  .map(costsWith);
/** A flush of all domains by one command is for VT-d, and for devices without TLBs. */
function fitting(policy: Policy, { iommu, device }: Machine): Policy {
  const { dma } = policy;
  if (dma?.unmap !== 'lazy' || dma.flush !== 'global' || (iommu.commands === 'vtd' && !device.ats)) return policy;
  return { ...policy, dma: { ...dma, flush: 'each-domain' } };
}

/** Random machines, policies and prices; small, so that everything runs short. */
const dmaSetup: fc.Arbitrary<DmaSetup> = fc
  .record({
    policy: fc.oneof(
      { arbitrary: fc.constant(loadPolicy('strict')), weight: 3 },
      { arbitrary: lazy, weight: 4 },
      { arbitrary: fc.constant(loadPolicy('passthrough')), weight: 1 },
    ),
    machine,
    costs: fc.oneof(fc.constant(COSTS), costs),
    seed: fc.nat(),
    reuse: fc.constantFrom(...REUSES, REUSES[0]),
    timeScale: fc.constantFrom(1, 1, 0.3, 0),
    ideal: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
  })
  .map((setup) => ({ ...setup, policy: fitting(setup.policy, setup.machine) }))
  .map((setup) => Object.defineProperty(setup, fc.toStringMethod, { value: () => showDmaSetup(setup) }));

/** A setup and a recording for it. */
export const dmaCase = fc.record({ setup: dmaSetup, program: recordings });

/** An IOVA is another CPU's, used and unmapped again, before the unmap that gave it up has returned. */
export const LATE_RETURN = {
  setup: {
    policy: loadPolicy('strict'),
    machine: { ...loadMachine('intel-vtd'), iova: { limitPfn: 255, magazine: 1, depot: 0, sizes: 0 } },
    costs: costsWith([
      ['iova.free_slow', 20_000],
      ['iova.alloc_slow', 0],
      ['iotlb.inv_page', 20_000],
    ]),
    seed: 1,
    reuse: 'immediate',
    timeScale: 1,
    ideal: false,
  } satisfies DmaSetup,
  program: {
    actors: { cpus: 2, domains: 1, devices: [0] },
    remote: false,
    steps: [
      { what: 'map', pieces: [1], frame: 0, prot: 3, who: 0, pick: 0, gap: 0 },
      { what: 'unmap', who: 0, pick: 0, gap: 0 },
      { what: 'map', pieces: [1], frame: 1, prot: 3, who: 1, pick: 0, gap: 25 * US },
      { what: 'dma', page: 0, write: 1, late: 0, who: 0, pick: 0, gap: 0 },
      { what: 'unmap', who: 1, pick: 0, gap: 0 },
    ],
  } satisfies DmaProgram,
};

/** What a failing test prints of a setup. */
function showDmaSetup({ policy, machine, costs, ...rest }: DmaSetup): string {
  const { name, hz, iommu, device, driver, hazards, iova } = machine;
  const changed = Object.entries(costs).flatMap(([key, cost]) =>
    cost === COSTS[key as CostKey] ? [] : [[key, cost.default]],
  );
  return JSON.stringify({
    policy: policy.dma,
    machine: name,
    hz,
    iommu,
    device,
    driver,
    hazards,
    iova,
    changed,
    ...rest,
  });
}
