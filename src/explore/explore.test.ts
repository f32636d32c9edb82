import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT, withFolder } from '../../testing/cli.ts';
import { COSTS, variant } from '../../testing/machine.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { loadRaces, shippedRaces } from '../catalog/races.ts';
import { withSetting } from '../catalog/settings.ts';
import { RaceEngine } from '../engine/race.ts';
import { type RacesLeftOut, replayCommand } from '../model/exploration.ts';
import type { Policy } from '../model/policy.ts';
import { parseRace } from '../model/race.ts';
import { exploreMarkdown, exploreText } from '../report/explore.ts';
import { drawSchedule } from '../report/schedule.ts';
import { type Cell, exploreCell, replay } from './explore.ts';
import { cellsOf, racesLeftOut } from './matrix.ts';

const release = engineModule('release');
const never = () => false;
const cell = (race: string, policy: string | Policy, machine = 'amd-v2'): Cell => ({
  race: loadRaces([race])[0]!,
  policy: typeof policy === 'string' ? loadPolicy(policy) : policy,
  machine: loadMachine(machine),
  costs: COSTS,
});
const explore = (race: string, policy: string | Policy, machine?: string) =>
  exploreCell(cell(race, policy, machine), release, never)!;

describe('verdicts known from elsewhere', () => {
  const rows = readFileSync(join(ROOT, 'traces/outside/races.tsv'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t') as [string, string, string, string, string]);

  test.each(rows)('%s under %s on %s: %s', (race, policy, machine, expected) => {
    const { verdict, property } = explore(race, policy, machine);
    expect(verdict === 'broken' ? property : verdict).toBe(expected === '-' ? 'holds' : expected);
  });

  test('every shipped race has one', () => {
    const named = new Set(rows.map(([race]) => race));
    expect(shippedRaces().filter((race) => !named.has(race))).toEqual([
      'dma-unmap-in-walk',
      'exit-live',
      'fork-reuse',
      'fork-write',
      'hugetlb-cow-stale-read',
      'hugetlb-protect-write',
      'hugetlb-unshare',
      'hwpoison-read',
      'idle-device',
      'idle-munmap',
      'idle-second',
      'ksm-merge-reuse',
      'lazyfree-batch',
      'migrate-insert-read',
      'migrate-vma-write',
      'mprotect-reclaim-write',
      'mprotect-write',
      'mremap-reclaim',
      'mremap-write',
      'munmap-in-walk',
      'numa-hint-write',
      'pasid-stop',
      'soft-dirty-all',
      'thp-collapse-write',
      'thp-cow-stale-read',
      'thp-split-file-read',
      'thp-split-munmap',
      'uprobe-stale-read',
    ]);
  });
});

// traces/races/README.md tells what the source suggests of these.
test.each([
  ['mremap-reclaim', 'batched', 'holds'],
  ['mremap-reclaim', 'linux-5.0', 'S1'],
  ['hugetlb-unshare', 'linux-5.0', 'S5'],
  ['hugetlb-unshare', 'linux-6.6', 'holds'],
])('read from the source, unconfirmed: %s under %s: %s', (race, policy, expected) => {
  const { verdict, property } = explore(race, policy);
  expect(property ?? verdict).toBe(expected);
});

test('both builds go through the same states to the same schedule', () => {
  const [one, other] = BUILDS.map(
    (build) => exploreCell(cell('cow-stale-read', 'range-end'), engineModule(build), never)!,
  );
  expect(one).toEqual(other);
  expect(one!.states).toBeGreaterThan(100);
});

describe('a schedule that breaks a property', () => {
  const found = explore('madv-free-discard', 'range-end');

  test('breaks it again, in its last step and not before', () => {
    const again = replay(cell('madv-free-discard', 'range-end'), found.schedule, release);
    expect(again.property).toBe('S2');
    const broke = again.steps.map(({ events }) => events.some(({ kind }) => kind === 'broken'));
    expect(broke).toEqual([...Array<boolean>(found.steps.length - 1).fill(false), true]);
  });

  test('is told step by step', () => {
    expect(found.steps.length).toBeGreaterThan(10);
    expect(found.steps.filter(({ action }) => action === '')).toEqual([]);
    expect(found.steps.at(-1)).toEqual({ agent: 'dev0', action: 'read v: lands by old entry', stale: { v: 'used' } });
  });

  test('is the shortest: breadth first finds none that is shorter', () => {
    const under = ['mprotect-three-pages', 'linux-4.14', 'intel-svm'] as const;
    expect(shortest(...under)).toBe(explore(...under).steps.filter(({ agent }) => isNamed(agent)).length);
  });

  test.each([
    ['2:dev0', 'step 1: dev0'],
    ['2:kswapd*4,cpu9', 'step 5: cpu9 cannot take a step there, only'],
    ['kswapd', 'expected ENTRIES:AGENT'],
    ['2:kswapd*', 'expected an agent'],
    ['99:kswapd', 'expected ENTRIES:AGENT'],
  ])('%s is no schedule of the race', (text, message) => {
    const race = cell('madv-free-discard', 'range-end');
    const run = () => replay(race, text, release);
    if (text === '2:dev0') expect(run().steps.length).toBe(1);
    else expect(run).toThrow(message);
  });
});

describe('what is left out makes no difference to what can be reached', () => {
  const machines = ['amd-v2', 'intel-svm'];
  const races = [
    'madv-free-discard',
    'munmap-reuse',
    'munmap-in-walk',
    'idle-pasid',
    'cow-stale-read',
    'madv-free-write',
  ];
  const hazards = [[], ['device-tlb-before-iotlb'], ['overtaking-completion'], ['lost-invalidation']] as const;
  test.each(races.flatMap((race) => machines.map((machine) => [race, machine] as const)))(
    '%s on %s',
    (race, machine) => {
      const setup = cell(race, 'linux-4.15', machine);
      for (const faults of hazards) {
        const reachable = (whole: boolean) =>
          new RaceEngine(release, setup.race, {
            ...setup,
            machine: { ...setup.machine, hazards: faults },
            entries: 2,
            whole,
          }).reachable();
        expect(reachable(false)).toEqual(reachable(true));
      }
    },
  );
});

test.each(['strict', 'lazy'])('nor in races of the DMA API: %s', (policy) => {
  for (const race of ['dma-late-write', 'dma-iova-reuse', 'dma-unmap-in-walk']) {
    const setup = cell(race, policy, 'amd-vi');
    const reachable = (whole: boolean) =>
      new RaceEngine(release, setup.race, { ...setup, entries: 2, whole }).reachable();
    expect(reachable(false)).toEqual(reachable(true));
  }
});

test.each(['any', 'overlap', 'none'])('nor where faults begin anew: retry %s', (retry) => {
  for (const race of ['cow-refault', 'munmap-reuse']) {
    const setup = cell(race, 'linux-4.15', 'kvm');
    const machine = withSetting(setup.machine, `machine.consumer.retry=${retry}`);
    const reachable = (whole: boolean) =>
      new RaceEngine(release, setup.race, { ...setup, machine, entries: 2, whole }).reachable();
    expect(reachable(false)).toEqual(reachable(true));
  }
});

test.each([
  ['amd-v2', 'taken', 'denied'],
  ['intel-svm', 'none', 'denied'],
  ['intel-sva', 'poll-then-wait', 'denied'],
  ['intel-sva', 'wait-then-poll', 'holds'],
])('nor where a PASID is stopped with a page request out: %s, drained %s: %s', (name, drain, expected) => {
  const setup = cell('pasid-stop', 'range-end', name);
  const machine = withSetting(setup.machine, `machine.driver.prq_drain=${drain}`);
  const reachable = (whole: boolean) =>
    new RaceEngine(release, setup.race, { ...setup, machine, entries: 2, whole }).reachable();
  expect(reachable(false)).toEqual(reachable(true));
  const { verdict, property } = exploreCell({ ...setup, machine }, release, never)!;
  expect(property ?? verdict).toBe(expected);
});

describe('a walk and the fill with what it has read, as two steps', () => {
  const setup = cell('munmap-in-walk', 'linux-6.6');
  test.each([
    ['munmap-in-walk', 'amd-v2', true],
    ['munmap-in-walk', 'intel-svm-nodis', true],
    ['munmap-in-walk', 'intel-svm-nodis', false],
    ['dma-unmap-in-walk', 'intel-vtd', true],
    ['dma-unmap-in-walk', 'intel-vtd', false],
  ])(
    '%s on %s, split %s: an invalidation that passes between them breaks S1 if walks are not waited for',
    (race, machine, split) => {
      const one = cell(race, race === 'munmap-in-walk' ? 'linux-6.6' : 'strict', machine);
      const verdicts = [[], ['overtaken-walk'] as const].map((hazards) => {
        const changed = { ...one, race: { ...one.race, splitWalks: split }, machine: { ...one.machine, hazards } };
        const { verdict, property } = exploreCell(changed, release, never)!;
        return property ?? verdict;
      });
      expect(verdicts).toEqual(['holds', split ? 'S1' : 'holds']);
    },
  );

  // The walk of cpu1, then so many steps of cpu0's munmap, then cpu1 again.
  test.each([
    [0, 'read v: fills TLB'],
    [3, 'read v: stale TLB entry'],
    [6, 'read v: stale TLB entry'],
    [7, 'read v: fault, zero page'],
  ])('a CPU, %i steps of munmap in between: %s', (steps, expected) => {
    const text =
      'race r\nsource s\nabout a\nwalk split\npage v anonymous\nstart cpu0 write v\nagents cpu0 | cpu1\n munmap v | read v\nnever S1';
    const schedule = ['8:cpu1', ...Array(steps).fill('cpu0'), 'cpu1'].join();
    const told = replay({ ...setup, race: parseRace(text, 'r') }, schedule, release);
    expect(drawSchedule(told).split('\n').at(-2)).toContain(expected);
  });
});

test.each([
  ['none', true],
  ['taken', false],
])('a request that the handler has in hand when its PASID is given back: drained %s', (drain, over) => {
  const setup = cell('pasid-stop', 'range-end', 'amd-v2');
  const machine = withSetting(setup.machine, `machine.driver.prq_drain=${drain}`);
  const engine = new RaceEngine(release, setup.race, { ...setup, machine, entries: 2 });
  const take = (agent: string, until: () => boolean): void => {
    for (let i = 0; i < 40 && !until() && engine.enabled().includes(agent); i++) engine.step(agent);
  };
  engine.step('cpu1'); // waits for the PASID
  // The request comes to the log, and its handler takes it.
  for (const agent of ['dev0', 'access']) take(agent, () => engine.enabled().includes('prq'));
  engine.step('prq');
  for (const agent of ['dev0', 'cpu0', 'iommu', 'cpu0', 'iommu', 'link', 'cpu0', 'link', 'cpu0'])
    take(agent, () => false);
  const isFree = () => engine.enabled().includes('cpu1');
  expect(isFree()).toBe(over);
  take('prq', () => false);
  for (const agent of ['iommu', 'cpu0']) take(agent, () => false);
  expect(isFree()).toBe(true);
});

/** Whether the steps of an agent count: those of the IOMMU and of its link do not. */
const isNamed = (agent: string): boolean => agent !== 'iommu' && agent !== 'link';

/** Steps of named agents of the shortest schedule that breaks a property, breadth first over replays, fewest entries first. */
function shortest(race: string, policy: string, machine: string): number {
  const setup = cell(race, policy, machine);
  const lengths = [2, 8].map((entries) => {
    const seen = new Set<string>();
    let level: string[][] = [[]];
    for (let length = 0; level.length > 0; length++) {
      const next: string[][] = [];
      for (const agents of level) {
        const engine = new RaceEngine(release, setup.race, { ...setup, entries });
        engine.log();
        let broke = false;
        for (const agent of agents) broke = engine.step(agent)!.some(({ kind }) => kind === 'broken') || broke;
        if (broke) return length;
        const key = engine.fingerprint();
        if (seen.has(key)) continue;
        seen.add(key);
        for (const agent of engine.enabled()) (isNamed(agent) ? next : level).push([...agents, agent]);
      }
      level = next;
    }
    return Number.POSITIVE_INFINITY;
  });
  return Math.min(...lengths);
}

test('more states than are kept: bounded, and not holds', () => {
  const setup = cell('swap-reuse', 'linux-4.15');
  const engine = new RaceEngine(release, setup.race, { ...setup, entries: 2 });
  expect(engine.search(never, 8)).toMatchObject({ verdict: 'bounded' });
});

test('agents that wait for ever are an error with the schedule that leads there', () => {
  const text = `race r
source test
about nobody rings
page v anonymous
agents cpu0 | dev0
  write v | await x
never S1`;
  const setup = { ...cell('swap-reuse', 'linux-4.15'), race: parseRace(text, 'r.race') };
  expect(() => exploreCell(setup, release, never)).toThrow(/some agents wait for ever after --replay 2:cpu0/);
});

test.each([
  ['stale', 'munmap v', 'dev0', 'read v: lands by old entry'],
  ['exposed', 'dontneed v', 'cpu1', 'write v: walk'],
  ['denied', 'munmap v', 'dev0', 'read v: denied'],
])('never %s: what breaks no property can be forbidden, too', (never, call, agent, action) => {
  const text = `race r
source test
about a page goes while it is used
page v anonymous
page w anonymous far
start cpu0 write v
start dev0 write v
agents cpu0 | cpu1 | dev0
  ${call} | write ${never === 'exposed' ? 'v' : 'w'} | read v
never ${never}`;
  const setup = { ...cell('swap-reuse', 'linux-4.15'), race: parseRace(text, 'r.race') };
  const found = exploreCell(setup, release, () => false)!;
  expect(found).toMatchObject({ verdict: 'broken', property: never });
  expect(found.steps.at(-1)).toMatchObject({ agent, action });
});

test('who puts the flush of the device off as well needs for it what CPUs have: a flush by whoever comes by', () => {
  const late = { reclaim_swap: '{ RS LK PC CFq PS(swp) RR PP UL RE } CF SI* IO { PPc FREE }' };
  const shipped = loadPolicy('linux-6.6').mm!.paths.mprotect.text;
  const made = (name: string, mprotect: string) => variant('linux-6.6', name, { ...late, mprotect });
  expect(explore('mprotect-reclaim-write', made('made good', shipped))).toMatchObject({ verdict: 'holds' });
  expect(explore('mprotect-reclaim-write', made('for CPUs', shipped.replace(' SIp', '')))).toMatchObject({
    property: 'S3',
  });
});

test('a gather that is full is flushed before its pages are free, under the lock', () => {
  const text = `race r
source mm/memory.c zap_pte_range: force_flush
about of two pages that are unmapped the gather has room for one: the frame of the first is free before the call is over
page v anonymous
page u anonymous
page w anonymous far
start cpu0 write v
start cpu0 write u
start dev0 write v
agents cpu0 | cpu1 | dev0
  munmap v u | write w | write v
never S1`;
  const found = (gather: number, munmap: string) => {
    const policy = variant('linux-6.6', 'a gather', { munmap });
    const race = parseRace(text, 'r.race');
    const setup = { ...cell('swap-reuse', 'linux-6.6'), race, policy: { ...policy, mm: { ...policy.mm!, gather } } };
    return exploreCell(setup, release, never)!.verdict;
  };
  const shipped = loadPolicy('linux-6.6').mm!.paths.munmap.text;
  const late = shipped.replace('CF SI ] UL', 'CF ] UL');
  expect([found(1, shipped), found(1, late), found(2, late), found(3, late)]).toEqual([
    'holds',
    'broken',
    'broken',
    'holds',
  ]);
});

describe('a consumer with a table of its own whose faults do not retry', () => {
  const careless = (name: string) => withSetting(loadMachine(name), 'machine.consumer.retry=none');
  test.each([
    ['cow-refault', 'range-end', 'kvm', 'S1'],
    ['munmap-reuse', 'linux-6.6', 'xen', 'S1'],
    ['swap-write', 'linux-4.14', 'rdma-odp', 'S4'],
    // What is told under the page-table lock finds nothing to flush: the fault has not installed what it has read.
    ['cow-refault', 'under-lock', 'conditional-shadow', 'S1'],
  ])('%s under %s on %s: %s', (race, policy, machine, property) => {
    const setup = { ...cell(race, policy), machine: careless(machine) };
    expect(exploreCell(setup, release, never)).toMatchObject({ verdict: 'broken', property });
  });
});

test('a policy that frees first is found out: the frame is reused under the device', () => {
  const freeFirst = variant('under-lock', 'free first', { munmap: 'RS { LK PC RR UL } FREE CF SI RE' });
  expect(explore('munmap-reuse', freeFirst)).toMatchObject({ verdict: 'broken', property: 'S1' });
});

test('a drawing shows when old copies can be used, when they must not, and when they are', () => {
  const setup = cell('madv-free-discard', 'range-end');
  const found = explore('madv-free-discard', 'range-end');
  const marks = (drawing: string) =>
    drawing
      .split('\n')
      .flatMap((line) => (/^ *\d+ /.test(line) ? [/[|!X]$/.exec(line)?.[0] ?? ' '] : []))
      .join('');
  const drawing = drawSchedule(replay(setup, found.schedule, release));
  expect(marks(drawing)).toMatch(/^ +\|+!+X$/);
  const mail = exploreMarkdown([found]);
  expect(marks(mail)).toBe(marks(drawing));
  expect(mail.split('\n').filter((line) => line.length > 76)).toEqual([]);
  expect(mail).toContain(`${found.race} under range-end on amd-v2: ${found.property} breaks in`);
  expect(mail.replaceAll(/ \\\n +/g, ' ')).toContain(replayCommand(found));
});

test("a race and a policy of one's own are files in the command that draws their schedule", () =>
  withFolder((folder) => {
    const [race, policy] = [join(folder, 'own.race'), join(folder, 'own.yaml')];
    writeFileSync(race, readFileSync(join(ROOT, 'traces/races/cow-stale-read.race'), 'utf8'));
    writeFileSync(policy, 'name: mine\nextends: range-end\ntitle: t\nsource: s\n');
    const [own] = cellsOf(loadRaces([race]), { policies: [policy], machines: ['amd-v2'] }) as [Cell];
    const found = exploreCell(own, release, never)!;
    expect(found).toMatchObject({ policy: 'mine', machine: 'amd-v2', files: { race, policy } });
    const words = replayCommand(found).replaceAll("'", '').split(' ');
    expect(words.slice(2, -2)).toEqual([race, '--policies', policy, '--machines', 'amd-v2'].join(' ').split(' '));
    expect(exploreCell(cell('cow-stale-read', 'range-end'), release, never)).not.toHaveProperty('files');
  }));

test('races for which nothing is named are told of', () => {
  const asked = { policies: ['all'], machines: ['amd-v2', 'intel-svm'] };
  const races = ['munmap-reuse', 'dma-late-write', 'dma-iova-reuse'];
  const [left] = racesLeftOut(races, asked) as [RacesLeftOut];
  expect(left).toEqual({ family: 'dma', races: ['dma-late-write', 'dma-iova-reuse'] });
  const line = 'left out: 2 races of the DMA API, which need a policy and a machine of family dma';
  expect(exploreText([explore('munmap-reuse', 'linux-6.6')], [left]).split('\n')).toContain(line);
  expect(racesLeftOut(['munmap-reuse'], asked)).toEqual([]);
  expect(racesLeftOut(races)).toEqual([]);
  expect(racesLeftOut(races, { machines: ['intel-vtd'] })).toEqual([{ family: 'mm', races: ['munmap-reuse'] }]);
});

test('of all machines those with several devices are left out; one that is named is refused', () => {
  const machines = cellsOf(loadRaces(['munmap-reuse']), { policies: ['linux-6.6'], machines: ['all'] });
  expect(machines.map(({ machine }) => machine.name)).toContain('kvm');
  expect(machines.filter(({ machine }) => machine.also !== undefined || machine.device.count > 1)).toEqual([]);
  expect(() => explore('munmap-reuse', 'linux-6.6', 'intel-sva-kvm')).toThrow(
    'machine intel-sva-kvm has 2 consumers, expected one: races are of one consumer',
  );
  expect(() => explore('munmap-reuse', 'linux-6.6', 'intel-sva-2dev')).toThrow(
    'machine intel-sva-2dev has 2 devices, expected one: races are of one device',
  );
});
