import { describe, expect, test } from 'vitest';
import { COSTS, variant } from '../../testing/machine.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { loadRaces } from '../catalog/races.ts';
import { RaceEngine } from '../engine/race.ts';
import { HAZARDS, type HazardName } from '../model/hazard.ts';
import type { Machine } from '../model/machine.ts';
import type { PathName } from '../model/path.ts';
import { NOTES, type Policy } from '../model/policy.ts';
import type { Race, RaceProperty } from '../model/race.ts';
import { type Cell, exploreCell } from './explore.ts';

const release = engineModule('release');
const never = () => false;

/** Races and machines are made for each case; the machine's hazards come from the case. */
interface Fault {
  readonly race: string;
  readonly policy: string;
  readonly machine: string;
  readonly breaks: string;
  /** Other hazards, in both runs. */
  readonly with?: readonly HazardName[];
  readonly change?: (machine: Machine) => Machine;
}
const aligned = (machine: Machine): Machine => ({ ...machine, driver: { ...machine.driver, rangeCover: 'aligned' } });
const narrow = (machine: Machine): Machine => ({ ...aligned(machine), iommu: { ...machine.iommu, maxAm: 1 } });
const polling = (machine: Machine): Machine => ({
  ...machine,
  driver: { ...machine.driver, prqDrain: 'wait-then-poll' },
});
const FAULTS: Readonly<Partial<Record<HazardName, Fault>>> = {
  'am-not-widened': { race: 'mprotect-three-pages', policy: 'linux-4.14', machine: 'intel-svm', breaks: 'S3', change: aligned },
  'device-tlb-before-iotlb': { race: 'munmap-reuse', policy: 'linux-6.6', machine: 'amd-v2', breaks: 'S1' },
  'activation-without-flush': { race: 'idle-pasid', policy: 'linux-4.15', machine: 'intel-svm', breaks: 'S1' },
  'read-then-set': { race: 'idle-pasid', policy: 'linux-4.15', machine: 'intel-svm', breaks: 'S1' },
  'translated-while-idle': { race: 'idle-device', policy: 'linux-4.15', machine: 'intel-svm', breaks: 'S1' },
  'completion-before-posted-writes': { race: 'munmap-reuse', policy: 'under-lock', machine: 'amd-v2', breaks: 'S1' },
  'overtaking-completion': { race: 'madv-free-write', policy: 'under-lock', machine: 'amd-v2', breaks: 'S1' },
  'overtaken-walk': { race: 'munmap-in-walk', policy: 'linux-6.6', machine: 'amd-v2', breaks: 'S1' },
  'aborted-wait-as-done': { race: 'madv-free-discard', policy: 'under-lock', machine: 'intel-svm-nodis', breaks: 'S1', with: ['lost-invalidation'] },
  'lost-invalidation': { race: 'madv-free-discard', policy: 'under-lock', machine: 'amd-v2', breaks: 'S1' },
  'device-without-tag': { race: 'munmap-reuse', policy: 'under-lock', machine: 'amd-v2', breaks: 'S1' },
  'malformed-command': { race: 'munmap-reuse', policy: 'under-lock', machine: 'intel-svm-nodis', breaks: 'S1' },
  'mamv-not-checked': { race: 'mprotect-three-pages', policy: 'linux-4.14', machine: 'intel-svm', breaks: 'S3', change: narrow },
  'clean-keeps-device-tlb': { race: 'madv-free-write', policy: 'under-lock', machine: 'amd-v2', breaks: 'S4' },
  'reuse-keeps-device-tlb': { race: 'pasid-reuse', policy: 'linux-6.6', machine: 'amd-v2', breaks: 'S2x' },
  'reuse-keeps-pasid-entry': { race: 'pasid-reuse', policy: 'linux-6.6', machine: 'intel-svm', breaks: 'S2x' },
  'release-flushes-other-pasid': { race: 'pasid-reuse', policy: 'linux-6.6', machine: 'amd-sva', breaks: 'S2x' },
  'reuse-by-mapcount': { race: 'fork-reuse', policy: 'range-end', machine: 'amd-v2', breaks: 'S2x' },
  'no-request-drain': { race: 'pasid-stop', policy: 'range-end', machine: 'intel-sva', breaks: 'denied', change: polling },
  'leaf-only': { race: 'munmap-table', policy: 'linux-6.6', machine: 'intel-svm', breaks: 'S5' },
  'iova-before-flush': { race: 'dma-iova-reuse', policy: 'lazy', machine: 'intel-vtd', breaks: 'S6' },
  'no-caller-ref': { race: 'swap-reuse', policy: 'range-end', machine: 'amd-v2', breaks: 'S1' },
}; // biome-ignore format: a table

describe('a shipped race catches a machine with a hazard, and holds without it', () => {
  test.each(Object.entries(FAULTS) as [HazardName, Fault][])(
    '%s',
    (hazard, { race, policy, machine, breaks, with: also = [], change = (m) => m }) => {
      const explore = (hazards: readonly HazardName[]): string => {
        const setup: Cell = {
          race: loadRaces([race])[0]!,
          policy: loadPolicy(policy),
          machine: { ...change(loadMachine(machine)), hazards },
          costs: COSTS,
        };
        const { verdict, property } = exploreCell(setup, release, never)!;
        return property ?? verdict;
      };
      expect([explore(also), explore([...also, hazard])]).toEqual(['holds', breaks]);
    },
  );

  test.each(['amd-v2', 'intel-svm', 'intel-svm-nodis'])(
    '%s: what a device TLB keeps beyond the stop of a PASID',
    (name) => {
      const machine = loadMachine(name);
      const explore = (race: string, hazards: readonly HazardName[], atcOnIdle: 'keep' | 'drop'): string => {
        const changed: Machine = { ...machine, hazards, device: { ...machine.device, atcOnIdle } };
        const races = loadRaces([race]);
        const setup = { race: races[0]!, policy: loadPolicy('linux-6.6'), machine: changed, costs: COSTS };
        const { verdict, property } = exploreCell(setup, release, never)!;
        return property ?? verdict;
      };
      for (const [race, breaks] of [
        ['pasid-reuse', 'S2x'],
        ['pasid-exit', 'S1'],
      ] as const) {
        expect(explore(race, [], 'keep'), race).toBe('holds');
        expect(explore(race, ['reuse-keeps-device-tlb'], 'keep'), race).toBe(breaks);
        expect(explore(race, ['reuse-keeps-device-tlb'], 'drop'), race).toBe('holds');
      }
    },
  );

  test('but for no-drain: a PASID-based invalidation always drains, so that what can be reached is the same', () => {
    const machine = loadMachine('intel-svm-nodis');
    const reachable = (hazards: readonly HazardName[]) =>
      new RaceEngine(release, loadRaces(['munmap-reuse'])[0]!, {
        policy: loadPolicy('under-lock'),
        machine: { ...machine, device: { ...machine.device, ats: false }, hazards },
        costs: COSTS,
        entries: 8,
      }).reachable();
    expect(reachable([])).toEqual(['stale', 'denied']);
    expect(reachable(['no-drain'])).toEqual(reachable([]));
  });

  test('of every hazard there is but those of DMA domains, which no race has, and one that breaks nothing', () => {
    const others = ['shared-domain-id', 'no-flush-on-map', 'answered-twice'];
    expect([...Object.keys(FAULTS), 'no-drain', ...others].sort()).toEqual(Object.keys(HAZARDS).sort());
  });
});

/** Races that run each path, of all that there are. Where the policy breaks it as it is, a race has nothing to say of a step less. */
const RACES: Record<PathName, readonly string[]> = {
  reclaim_swap: ['swap-write'],
  reclaim_file: ['file-reclaim-reuse'],
  reclaim_lazyfree: ['madv-free-discard'],
  reclaim_redirtied: ['madv-free-discard'],
  cow: ['cow-stale-read'],
  munmap: ['munmap-part', 'munmap-table', 'munmap-reclaim'],
  munmap_dirty: ['munmap-dirty-file', 'munmap-dirty-table'],
  dontneed: ['dontneed-refault'],
  madv_free: ['madv-free-write'],
  mprotect: ['mprotect-write', 'mprotect-reclaim'],
  mremap: ['mremap-write'],
  clear_refs: ['soft-dirty-write'],
  page_mkclean: ['mkclean-write'],
  ksm_write_protect: ['ksm-merge-write'],
  ksm_replace: ['ksm-merge-reuse'],
  migrate: ['migrate-reuse'],
  reclaim_mismatch: ['mismatch-refault'],
  reclaim_unused: ['unused-refault'],
  hwpoison: ['hwpoison-read'],
  fork: ['fork-write'],
  uprobe: ['uprobe-stale-read'],
  migrate_vma: ['migrate-vma-write'],
  migrate_insert: ['migrate-insert-read'],
  numa_hint: ['numa-hint-write', 'numa-thp-write'],
  numa_migrate: ['numa-thp-write'],
  thp_split: ['thp-split-munmap'],
  thp_split_file: ['thp-split-file-read'],
  thp_cow: ['thp-cow-stale-read'],
  thp_collapse: ['thp-collapse-write'],
  hugetlb_cow: ['hugetlb-cow-stale-read'],
  hugetlb_protect: ['hugetlb-protect-write'],
  hugetlb_unshare: ['hugetlb-unshare'],
  exit: ['exit-live'],
};
/** Steps whose removal breaks a race. All others leave what can be reached as it is. */
const CAUGHT: Readonly<Record<string, readonly string[]>> = {
  'under-lock': [
    'reclaim_swap SI',
    'reclaim_file SI',
    'reclaim_lazyfree SI',
    'cow PC',
    'cow SI',
    'munmap CFp',
    'munmap SI',
    'munmap CF',
    'munmap SI?',
    'munmap_dirty SI',
    'munmap_dirty CF',
    'munmap_dirty SI?',
    'dontneed SI',
    'madv_free SI',
    'mprotect CFp',
    'mprotect SI',
    'mprotect CF',
    'mremap SI',
    'clear_refs SI',
    'page_mkclean SI',
    'ksm_write_protect SI',
    'ksm_replace PC',
    'ksm_replace SI',
    'migrate SI',
    'reclaim_mismatch SI',
    'reclaim_unused SI',
    // But for hwpoison, whose frame nobody gets, thp_split, whose frames stay where they are, and numa_migrate, which the one of
    // numa_hint is for.
    'fork SI',
    'uprobe PC',
    'uprobe SI',
    'migrate_vma SI',
    'migrate_insert PC',
    'migrate_insert SI',
    'numa_hint SI',
    'thp_cow PC',
    'thp_cow SI',
    'thp_collapse SI',
    'hugetlb_cow PC',
    'hugetlb_cow SI',
    'hugetlb_protect SI',
    'hugetlb_unshare SI',
    'exit REL',
    'exit SI*',
  ],
  // Of two invalidations either will do, but for branches that a new page comes in after, and for tables that are freed. What
  // a CPU flush takes out with it, tables, is not taken out before the invalidation if it is missing.
  'linux-4.15': [
    'reclaim_lazyfree SI',
    'cow PC',
    'cow SI',
    'munmap CFp',
    'munmap CF',
    'munmap SI',
    'munmap_dirty SI',
    'munmap_dirty CF',
    'munmap_dirty SI',
    'mprotect CFp',
    'mprotect CF',
    'reclaim_mismatch SI',
    'reclaim_unused SI',
    'uprobe PC',
    'uprobe SI',
    'migrate_insert PC',
    'migrate_insert SI',
    'thp_cow PC',
    'thp_cow SI',
    'hugetlb_cow PC',
    'hugetlb_cow SI',
    'hugetlb_unshare SI',
    'exit REL',
    'exit SI*',
  ],
};

/** Paths whose race breaks as the policy is. */
const AS_IT_IS: Readonly<Record<string, readonly PathName[]>> = { 'linux-4.15': ['numa_migrate'] };

/** The policy without one step of a path, and the step; those that can be read. */
function* withoutOne(policy: Policy, path: PathName): Generator<[string, Policy]> {
  const words = policy.mm!.paths[path].text.split(' ');
  for (const [i, word] of words.entries()) {
    if (word === '{' || word === '}' || Object.hasOwn(NOTES, word)) continue;
    try {
      yield [word, variant(policy.name, 'a step less', { [path]: words.filter((_, k) => k !== i).join(' ') })];
    } catch {
      // The lock, the bracket, and what the path is for cannot be left out.
    }
  }
}

test.each(Object.entries(CAUGHT))(
  '%s: a step less breaks a race, or changes nothing that can be reached',
  (name, caught) => {
    const machine = loadMachine('amd-v2');
    const whole = loadPolicy(name);
    const broken: string[] = [];
    const different: string[] = [];
    const reachable = (race: Race, policy: Policy): readonly RaceProperty[] =>
      new RaceEngine(release, race, { policy, machine, costs: COSTS, entries: 8 }).reachable()!;
    const breaks = ({ never }: Race, found: readonly RaceProperty[]) =>
      never.some((property) => found.includes(property));
    for (const [path, names] of Object.entries(RACES) as [PathName, readonly string[]][]) {
      const held = loadRaces(names)
        .map((race) => ({ race, reached: reachable(race, whole) }))
        .filter(({ race, reached }) => !breaks(race, reached));
      expect(held[0]?.race.name).toBe(AS_IT_IS[name]?.includes(path) ? undefined : names[0]);
      for (const [word, less] of withoutOne(whole, path)) {
        const after = held.map(({ race, reached }) => ({ race, reached, found: reachable(race, less) }));
        if (after.some(({ race, found }) => breaks(race, found))) broken.push(`${path} ${word}`);
        else if (after.some(({ reached, found }) => reached.join() !== found.join())) different.push(`${path} ${word}`);
      }
    }
    expect({ broken, different }).toEqual({ broken: caught, different: [] });
  },
);
