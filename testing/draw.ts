import fc from 'fast-check';
import { loadMachine } from '../src/catalog/catalog.ts';
import { type Consumer, PRICED_AS } from '../src/model/consumer.ts';
import type { CostKey } from '../src/model/cost.ts';
import { HAZARDS, type HazardName } from '../src/model/hazard.ts';
import { MAX_VPN } from '../src/model/limits.ts';
import type { Command, Machine } from '../src/model/machine.ts';
import { DEFAULT_LOOKAHEAD, type Follow, type RunSetup } from '../src/model/run.ts';
import { NO_CACHE, REPLACEMENTS } from '../src/model/tlb.ts';
import { type EventName, MAP_FLAG } from '../src/model/trace.ts';
import { COSTS, costsWith, SHIPPED, showSetup, variant } from './machine.ts';
import type { Step } from './program.ts';

// ---- random programs ----

/** Hazards that take a second process, a PASID that is stopped, or split walks, which races only have, or a second device. */
const APART: ReadonlySet<HazardName> = new Set([
  'device-without-tag',
  'no-request-drain',
  'overtaken-walk',
  'release-flushes-other-pasid',
  'reuse-by-mapcount',
  'reuse-keeps-device-tlb',
  'reuse-keeps-pasid-entry',
]);
export const DRAWN_HAZARDS = (Object.keys(HAZARDS) as HazardName[]).filter((name) => !APART.has(name));

type Access = 'fetch' | 'read' | 'write';
type MmEvent = Exclude<EventName, 'switch'>;

/** First pages of a few regions in several leaf tables; two of them lie over the border of two tables. */
const REGIONS = [16, 3 * 512 + 504, 7 * 512, 40 * 512 + 100, 2 * 512 * 512 - 4];
const PAGES = 16;
const DONTNEED = 4;
const FREE = 8;

const region = fc.constantFrom(...REGIONS);
const vpn = fc.tuple(region, fc.oneof(fc.nat(3), fc.nat(PAGES - 1))).map(([base, offset]) => base + offset);
const range = fc
  .tuple(region, fc.integer({ min: -2, max: PAGES - 1 }), fc.oneof(fc.integer({ min: 1, max: 3 }), fc.nat(PAGES)))
  .map(([base, offset, pages]): [number, number] => [base + offset, base + offset + pages]);

const access = (access: Access, vpn: number, straddle = false): Step => ({ access, agent: 0, vpn, straddle });
const event = (op: MmEvent, ...fields: number[]): Step => ({ event: op, agent: 0, gap: 0, fields });

const UPKEEP = [
  'fork',
  'fork',
  'clearRefs',
  'writeback',
  'uprobe',
  'merge',
  'migrate',
  'poison',
  'mismatch',
  'unused',
  'numaHint',
  'migrateVma',
  'split',
  'collapse',
  'unshare',
] as const;

/** A change of a range. */
const change: fc.Arbitrary<Step> = fc
  .tuple(fc.nat(29), range, fc.nat(31), region, fc.integer({ min: -2, max: PAGES }))
  .map(([what, [first, end], bits, to, offset]) => {
    if (what < 2) return event('mmap', 0, first, end, 3, bits);
    if (what < 4) return event('munmap', 0, first, end);
    if (what < 6) return event('mremap', 0, first, end, to + offset, to + offset + end - first);
    if (what < 8) return event('mprotect', 0, first, end, bits & 3);
    if (what === 8) return event('brk', 0, REGIONS[0]! + (bits & 7), REGIONS[0]! + (end % PAGES));
    if (what === 9) return event('idle');
    if (what < 13) return event('madvise', 0, first, end, what < 11 ? DONTNEED : FREE);
    if (what === 13) return event('reap', 0);
    // The end of a program ends what devices do, too.
    if (what === 29) return bits < 2 ? event('exit', 0) : event('numaHint', 0, first, end);
    const upkeep = UPKEEP[what - 14]!;
    // As the kernel does it.
    if (upkeep === 'clearRefs' && bits % 2 === 0) return event('clearRefs', 0, 0, MAX_VPN + 1);
    return event(upkeep, 0, first, end);
  });

/** A page is used, and so posted to the device; it changes while the device works on it, and is used again. */
const scene = fc
  .tuple(vpn, fc.nat(10), fc.integer({ min: 1, max: 8 }), fc.boolean())
  .map(([vpn, what, times, after]) => {
    const write = access('write', vpn);
    const changes = [
      event('munmap', 0, vpn, vpn + 1),
      event('madvise', 0, vpn, vpn + 1, DONTNEED),
      event('madvise', 0, vpn, vpn + 2, FREE),
      event('mprotect', 0, vpn, vpn + 1, 1),
      event('mremap', 0, vpn, vpn + 2, REGIONS[3]!, REGIONS[3]! + 2),
      // A page of zeroes or of a file: what the device reads is copied at the next write.
      event('madvise', 0, vpn, vpn + 1, DONTNEED),
      event('mmap', 0, vpn, vpn + 3, 3, 2),
    ];
    // Narrowed or made clean, and read by the program, but not by the device alone.
    if (what >= 7) {
      const narrow = what < 9 ? event('mprotect', 0, vpn - 1, vpn + 2, 1) : event('madvise', 0, vpn - 1, vpn + 2, FREE);
      return [...Array<Step>(times).fill(write), narrow, ...Array<Step>(2 * times).fill(access('read', vpn))];
    }
    const uses = Array<Step>(times).fill(what < 5 ? write : access('read', vpn));
    const scene = what < 5 ? [...uses, changes[what]!] : [changes[what]!, ...uses, write];
    return after ? [...scene, ...Array<Step>(times).fill(write)] : scene;
  });

/** What the kernel does to a page on its own account, while the device works on it and the program goes on. */
const upkeep = fc
  .tuple(vpn, fc.constantFrom(...UPKEEP), fc.integer({ min: 1, max: 8 }), fc.nat(4), fc.nat(3))
  .map(([vpn, work, times, kind, reaped]) => {
    const file = kind === 2 ? [] : [event('mmap', 0, vpn, vpn + 2, 3, [2, 6, 0, 8, 16][kind]!)];
    const use = access(kind === 0 ? 'read' : 'write', vpn);
    const uses = Array<Step>(times).fill(use);
    const write = access('write', vpn);
    // Huge pages are found on the wrong node: nobody has come to them since they are PROT_NONE.
    const node = kind === 4 ? [event('numaHint', 0, vpn - 1, vpn + 2), event('numaMigrate', 0, vpn, vpn + 2)] : [];
    const gone = reaped === 0 ? [event('reap', 0)] : [];
    const works = event(work, 0, vpn, vpn + 2);
    // A second child, before a write has ended what the first one shares.
    const again = reaped === 1 && work === 'fork' ? [works] : [];
    return [...file, ...uses, ...node, works, ...again, ...uses, ...gone, write, ...uses, ...gone];
  });

const one = fc
  .tuple(fc.constantFrom<Access>('fetch', 'read', 'read', 'write', 'write'), vpn, fc.integer({ min: 0, max: 19 }))
  .map(([kind, vpn, n]) => access(kind, vpn, n === 0));

const block = fc.oneof(
  {
    arbitrary: fc.tuple(one, fc.integer({ min: 1, max: 9 })).map(([step, times]) => Array<Step>(times).fill(step)),
    weight: 100,
  },
  // Runs so long that others change something meanwhile; the later ones begin with a hit.
  {
    arbitrary: fc.tuple(one, one, fc.integer({ min: 2, max: 20 })).map(([step, between, n]) => {
      const run = Array<Step>(n * 100).fill(step);
      return [...run, between, ...run, between, ...run];
    }),
    weight: 1,
  },
  { arbitrary: one.map((step) => [step]), weight: 100 },
  { arbitrary: change.map((step) => [step]), weight: 30 },
  { arbitrary: scene, weight: 25 },
  { arbitrary: upkeep, weight: 12 },
);
/** Random programs of one CPU. */
export const steps = fc
  .tuple(fc.array(block, { maxLength: 200, size: 'max' }), fc.boolean())
  .map(([blocks, fetches]) =>
    [...blocks.flat(), access('read', REGIONS[0]!)].filter(
      (step) => fetches || !('access' in step) || step.access !== 'fetch',
    ),
  );

// ---- random machines ----

/** Small caches, of any replacement. */
export const geometry = (ways: number) =>
  fc.record({
    sets: fc.integer({ min: 1, max: 3 }),
    ways: fc.integer({ min: 1, max: ways }),
    replacement: fc.constantFrom('lru', 'lru', ...REPLACEMENTS),
  });
/** The same, or none. */
export const perhaps = (ways: number) =>
  fc.oneof({ arbitrary: geometry(ways), weight: 3 }, { arbitrary: fc.constant(NO_CACHE), weight: 1 });
const walkCache = fc.record({ pml4e: perhaps(2), pdpte: perhaps(2), pde: perhaps(2) });
export const walkDrops = fc.constantFrom<Machine['iommu']['walkDrops']>('range', 'space');
export const hint = fc.constantFrom<Machine['driver']['ih']>('never', 'leaf-only');
const MACHINES = ['amd-v2', 'intel-svm', 'intel-svm-nodis'].map((name) => loadMachine(name));
const words = (text: string): Command[] => text.split(' ') as Command[];

/** What shipped drivers of this kind never submit. */
const ODD_DRIVER = {
  page: words('iotlb.global device_tlb.page wait'),
  range: words('device_tlb.page device_tlb.range wait iotlb.domain wait device_tlb.all wait'),
  all: words('iotlb.domain device_tlb.all wait'),
};

/** Hazards that show where invalidations are deferred. */
const OF_DEFERRAL: ReadonlySet<HazardName> = new Set([
  'activation-without-flush',
  'read-then-set',
  'translated-while-idle',
]);

const machine: fc.Arbitrary<Machine> = fc
  .record({
    base: fc.constantFrom(...MACHINES),
    cpu: fc.record({
      l1i: geometry(3),
      l1d: geometry(4),
      l2: perhaps(5),
      walkCache,
      flushCeiling: fc.constantFrom(0, 2, 33),
      shootdown: fc.constantFrom('ipi', 'tlb-gen', 'tlb-gen', 'invlpgb'),
    }),
    iommu: fc.record({
      ring: fc.constantFrom(4, 4, 5, 16),
      iotlb: geometry(6),
      walkCache,
      walkDrops,
      walkers: fc.integer({ min: 1, max: 3 }),
      contextReads: fc.nat(2),
      pasidReads: fc.nat(2),
    }),
    device: fc.record({
      ats: fc.constantFrom(true, true, true, false),
      deviceTlb: geometry(6),
      itags: fc.constantFrom(1, 2, 32),
      outstanding: fc.integer({ min: 1, max: 8 }),
      atcOnIdle: fc.constantFrom<Machine['device']['atcOnIdle']>('keep', 'keep', 'drop'),
    }),
    ih: hint,
    odd: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    hazards: fc.oneof(
      { arbitrary: fc.constant<HazardName[]>([]), weight: 2 },
      {
        arbitrary: fc.constantFrom<HazardName[]>(
          ['read-then-set'],
          ['translated-while-idle'],
          ['clean-keeps-device-tlb'],
        ),
        weight: 1,
      },
      { arbitrary: fc.subarray(DRAWN_HAZARDS, { minLength: 1, maxLength: 3 }), weight: 2 },
    ),
  })
  .map(({ base, cpu, iommu, device, ih, odd, hazards }) => ({
    ...base,
    cpu: { ...base.cpu, ...cpu },
    iommu: {
      ...base.iommu,
      ...iommu,
      levels: iommu.walkers + 2,
      ...(hazards.includes('mamv-not-checked') ? { maxAm: 1 } : {}),
    },
    device: { ...base.device, ...device },
    hazards,
    driver: {
      ...base.driver,
      ih,
      poll: base.iommu.commands === 'amd' || iommu.walkers === 3 ? 'held' : 'retaken',
      ...(odd && base.iommu.commands === 'vtd' ? ODD_DRIVER : {}),
      ...(hazards.some((name) => OF_DEFERRAL.has(name)) ? { deferral: true } : {}),
    },
  }));

const device: fc.Arbitrary<Follow> = fc.record({
  every: fc.integer({ min: 1, max: 6 }),
  write: fc.constantFrom(0, 0.3, 0.7, 1),
  active: fc.constantFrom(1e5, 2e6, 3e7),
  idle: fc.constantFrom(0, 0, 1e5, 3e6, 2e7),
  ats: fc.constantFrom(true, true, true, false),
});

/** Small queues of page requests, so that they overflow, and none. */
export const pri = fc.record({
  requests: fc.integer({ min: 1, max: 8 }),
  group: fc.integer({ min: 1, max: 5 }),
  prq: fc.constantFrom(2, 2, 3, 4, 5, 9, 0),
  loses: fc.constantFrom(false, false, true),
  restarts: fc.constantFrom(true, true, false),
  answers: fc.boolean(),
  workers: fc.constantFrom(0, 0, 1, 2, 3),
});

/** Orders that are wrong on purpose, and some that nobody ships. */
const ODD = [
  variant('range-end', 'free first', {
    munmap: 'RS { LK PC RR UL } FREE RE! CF SI',
    mremap: 'RS { LK PC PS(moved) UL } RE! RET',
    dontneed: 'RS { LK PC RR UL } RE CF FREE SI',
    reclaim_swap: '{ RS LK PC CF PS(swp) RR PP UL RE } CF { PPc FREE SI }',
    reclaim_file: '{ RS LK PC RR PP UL RE } CF { PPc FREE SI }',
    cow: 'RS LK PC CF PS(new) RR PP UL PPc FREE RE!',
    mprotect: '{ RS LK PC PS(ro) UL RE } CF RET',
    madv_free: 'RS { LK PC PS(clean) UL } RE CF RET',
    page_mkclean: 'LK PC CF PS(ro) UL IO',
  }),
  variant('under-lock', 'late', {
    munmap: 'RS { LK CFp PC RR SI UL } RE CF FREE',
    cow: 'RS LK PS(new) CF RR PP UL RE PPc FREE',
    mprotect: '{ RS LK PC PS(ro) UL RE } CF RET',
    mremap: 'RS { LK PC PS(moved) UL } CF SI RE',
    madv_free: '{ RS LK PC PS(clean) UL SI CF RE }',
    dontneed: 'RS { LK PC RR UL } SI FREE CF RE',
    migrate: 'RS LK PC PS(mig) RR UL PP COPY LK CF PS(new) UL PPc FREE SI RE',
    uprobe: 'LK PS(new) RR UL CF PP PPc FREE SI*',
    fork: 'RS { LK PC PS(ro) UL } CF RE',
    clear_refs: 'RS { LK PC PS(ro) UL COPY } CF RE! RET',
    page_mkclean: 'RS LK PC CF PS(ro) UL RE IO SI*',
    ksm_write_protect: 'RS LK PC CF PS(ro) UL MERGE RE!',
  }),
  variant('linux-6.6', 'batched', {
    reclaim_swap: '{ RS LK PC CFq PS(swp) RR PP UL RE } CF SI { PPc FREE }',
    reclaim_file: '{ RS LK PC CFq PS(none) RR PP UL RE } CF SI* { PPc FREE }',
    reclaim_lazyfree: '{ RS LK PC CFq RR PP UL RE } SI* CF { PPc FREE }',
    reclaim_redirtied: '{ RS LK PC CFq PS(old) UL RE } CF SI { PPc }',
    thp_collapse: '{ RS LK PC PS(mig) RR UL RE COPY CF LK PS(new) UL SI FREE }',
    hugetlb_unshare: 'RS { LK PC PS(cache) UL } PTFREE CF SI RE',
    exit: 'REL { LK PC RR UL } CF FREE SI*',
    munmap: 'RS { LK PC RR UL CF SI FREE } RE FREE',
    dontneed: '{ RS LK PC RR UL RE! FREE } CF',
    mprotect: '{ RS LK PC PS(ro) UL RE } CF RET',
    madv_free: '{ RS LK PC PS(clean) CF UL RE }',
  }),
];

const PRICED: CostKey[] = [
  'device.dma_latency', 'iotlb.inv_page', 'iotlb.inv_pasid', 'device_tlb.inv', 'qi.wait', 'amd.wait', 'fault.minor',
  'fault.swap_in', 'device.think', 'ats.translation', 'iommu.walk_ref', 'device.page_request', 'pte.clear', 'pte.set',
  'deferral.mark', 'ptl.acquire', 'ptl.release', 'qi.submit', 'cpu.ipi_first', 'page.zero', 'cpu.l2_hit', 'cpu.walk_ref_leaf', 'cpu.fetch',
]; // biome-ignore format: a table
const costs = fc
  .array(fc.tuple(fc.constantFrom(...PRICED), fc.constantFrom(0, 1, 40, 700, 20_000)), { maxLength: 6 })
  .map(costsWith);

const SLOW_MARK = costsWith([['deferral.mark', 20_000]])['deferral.mark'];

/** Random machines, policies, prices, devices; small, so that everything runs short. */
export const setup: fc.Arbitrary<RunSetup> = fc
  .record({
    policy: fc.oneof(
      { arbitrary: fc.constantFrom(...SHIPPED), weight: 5 },
      { arbitrary: fc.constantFrom(...ODD), weight: 3 },
    ),
    machine,
    costs: fc.oneof(fc.constant(COSTS), costs),
    seed: fc.nat(),
    // Fewer than accesses in flight, and agents could take them from each other for ever.
    frames: fc.oneof(fc.constant(null), fc.integer({ min: 7, max: 70 })),
    device: fc.oneof({ arbitrary: device, weight: 6 }, { arbitrary: fc.constant(null), weight: 1 }),
    ideal: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    cpus: fc.constantFrom(1, 1, 2, 3),
    lookahead: fc.constantFrom(0, DEFAULT_LOOKAHEAD),
  })
  // Phases of microseconds would fill the millisecond until a lost request is given up with turns of the device.
  .map((setup) => {
    const { machine, device } = setup;
    const short = device !== null && device.idle > 0 && machine.hazards.includes('lost-invalidation');
    return short ? { ...setup, device: { ...device, active: 3e7, idle: 2e7 } } : setup;
  })
  // Gathers that the ranges of the program fill.
  .map((setup) => {
    const { mm } = setup.policy;
    const gather = [1, 2, 3, 7, mm!.gather][setup.seed % 5]!;
    return { ...setup, policy: { ...setup.policy, mm: { ...mm!, gather } } };
  })
  // Between the two halves of a mark others come by only if it takes its time.
  .map((setup) => {
    if (!setup.machine.hazards.includes('read-then-set')) return setup;
    return { ...setup, costs: { ...setup.costs, 'deferral.mark': SLOW_MARK } };
  })
  .map((setup) => Object.defineProperty(setup, fc.toStringMethod, { value: () => showSetup(setup) }));

/**
 * The same with so many devices behind the IOMMU, which have commands together or one after the other, the last perhaps none, a ring with room for a
 * command to each, and frames for what each has in flight.
 */
export function withDevices({ frames, machine, ...rest }: RunSetup, count: number): RunSetup {
  const more = count - 1;
  const iommu = { ...machine.iommu, ring: machine.iommu.ring + 2 * more };
  const room = frames === null ? null : frames + more * machine.device.outstanding;
  const driver = { ...machine.driver, perDevice: rest.seed % 3 === 0 ? ('all' as const) : ('device_tlb' as const) };
  const hazards = [...machine.hazards, ...(count > 1 && rest.seed % 4 === 0 ? (['device-without-tag'] as const) : [])];
  return {
    ...rest,
    frames: room,
    machine: { ...machine, iommu, driver, hazards, device: { ...machine.device, count } },
  };
}

// ---- random consumers ----

const own: fc.Arbitrary<Consumer> = fc.record({
  table: fc.constant('own' as const),
  start: fc.constantFrom('zap', 'zap', 'none'),
  invalidate: fc.constantFrom('none', 'flush'),
  invalidatePage: fc.constantFrom('none', 'flush'),
  retry: fc.constantFrom('any', 'overlap', 'none'),
  flushesBy: fc.constantFrom(...(Object.keys(PRICED_AS) as Consumer['flushesBy'][])),
});
const sharing: fc.Arbitrary<Consumer> = fc.record({
  table: fc.constant('shared' as const),
  start: fc.constantFrom('none', 'zap'),
  invalidate: fc.constantFrom('if-present', 'if-present', 'none', 'flush'),
  invalidatePage: fc.constantFrom('none', 'flush'),
  retry: fc.constant('none' as const),
  flushesBy: fc.constant('commands' as const),
});
/** What may be told of mmu_notifiers, and what it may do then. */
export const consumer = fc.oneof({ arbitrary: own, weight: 3 }, { arbitrary: sharing, weight: 1 });

/**
 * The steps as the machine can run them: memory that is short is not given to pages that nobody can reclaim. Agents could take
 * what is left of it from each other for ever.
 */
export function fitting({ frames }: RunSetup, steps: readonly Step[]): readonly Step[] {
  if (frames === null) return steps;
  return steps.map((step) => {
    const maps = 'event' in step && step.event === 'mmap';
    return maps ? { ...step, fields: step.fields.with(4, step.fields[4]! & ~MAP_FLAG.hugetlb) } : step;
  });
}
