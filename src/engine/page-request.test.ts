import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fitting, pri, setup, steps, withDevices } from '../../testing/draw.ts';
import { COSTS, costsWith, runEngine, showSetup, traceOf } from '../../testing/machine.ts';
import { Reached } from '../../testing/numbers.ts';
import type { Step } from '../../testing/program.ts';
import { compareTwins, expectReached } from '../../testing/twins.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import type { CostKey } from '../model/cost.ts';
import type { RunSetup } from '../model/run.ts';

const MUST_REACH = [
  'N_PAGE_REQUESTS', 'N_PRI_GROUPS', 'N_PRQ_OVERFLOWS', 'N_PRQ_DROPPED', 'N_AUTO_ANSWERS', 'N_PAGE_RESPONSES',
  'group of several', 'group held back while another is out', 'as many page requests as there may be', 'group asked for one by one',
  'response: success', 'response: invalid', 'response: failure', 'refused: PRI is disabled', 'back-off',
  'requests behind the batch', 'page gone while it was asked for', 'response that nobody waits for', 'N_RETRIES',
  'queue that stays full', 'group that is never answered', 'several groups handled at a time', 'group waits for a worker',
  'wait for queue', 'ring full', 'N_STALE', 'groups of two devices at a time',
]; // biome-ignore format: a table

const DONTNEED = 4;
const PRICED: CostKey[] = ['prq.interrupt', 'prq.request', 'ats.translation', 'fault.minor', 'qi.wait', 'amd.wait'];

/** A device that follows a program through pages of which none is there; the queue has so many slots. */
function firstTouches(prq: number, group: number, { restarts = true, answers = true, workers = 16 } = {}) {
  const machine = loadMachine('amd-v2');
  const setup: RunSetup = {
    policy: loadPolicy('range-end'),
    machine: {
      ...machine,
      iommu: { ...machine.iommu, prq, prqAutoResponse: answers },
      device: { ...machine.device, priRequests: 16, priGroup: group },
      driver: { ...machine.driver, prqRestart: restarts, prqWorkers: workers },
    },
    costs: COSTS,
    seed: 1,
    frames: null,
    device: { every: 1, write: 1, active: 5e9, idle: 0, ats: true },
    ideal: false,
    cpus: 1,
    lookahead: 0,
  };
  const touches = Array.from({ length: 64 }, (_, i): Step[] => [
    { access: 'read', agent: 0, vpn: 1024 + i, straddle: false },
    { event: 'madvise', agent: 0, gap: 0, fields: [0, 1024 + i, 1025 + i, DONTNEED] },
  ]).flat();
  // Time for the device to come to the end of its work.
  const rest = Array<Step>(900_000).fill({ access: 'read', agent: 0, vpn: 1023, straddle: false });
  const { counters } = runEngine(engineModule('checked'), setup, traceOf([...touches, ...rest]))!.raw;
  return (name: string): number => counters[`N_${name}`]!;
}

test('a queue with room takes every request once, and each group is answered by one command', () => {
  for (const group of [1, 4, 16]) {
    const n = firstTouches(512, group);
    expect(n('PAGE_REQUESTS')).toBeGreaterThanOrEqual(48);
    expect(n('PRI_GROUPS')).toBeGreaterThanOrEqual(n('PAGE_REQUESTS') / group);
    expect(n('PAGE_RESPONSES')).toBe(n('PRI_GROUPS'));
    expect([n('PRQ_OVERFLOWS'), n('PRQ_DROPPED'), n('AUTO_ANSWERS'), n('DEVICE_FAULTS')]).toEqual([0, 0, 0, 0]);
    if (group > 1) expect(n('PRI_GROUPS')).toBeLessThan(n('PAGE_REQUESTS'));
  }
});
test('several workers keep a device waiting for less than one does', () => {
  const [one, several] = [1, 16].map((workers) => firstTouches(512, 1, { workers }));
  expect(several!('DEVICE_STALL_PS')).toBeLessThan(one!('DEVICE_STALL_PS'));
  expect(several!('PAGE_RESPONSES')).toBe(several!('PRI_GROUPS'));
});
test('one that is too small drops requests and answers groups itself, and the device gets all its pages', () => {
  const enough = firstTouches(512, 8);
  const small = firstTouches(4, 8);
  expect(small('PRQ_OVERFLOWS')).toBeGreaterThan(0);
  expect(small('PRQ_DROPPED')).toBeGreaterThan(0);
  expect(small('AUTO_ANSWERS') + small('PAGE_RESPONSES')).toBe(small('PRI_GROUPS'));
  expect(small('PAGE_REQUESTS')).toBeGreaterThan(enough('PAGE_REQUESTS'));
  expect(small('DEVICE_FAULTS')).toBe(0);
  expect(small('DMA')).toBeGreaterThanOrEqual(64);
});
test('one that no driver restarts takes nothing any more, and the device asks again and again', () => {
  const n = firstTouches(4, 8, { restarts: false });
  expect(n('PRQ_OVERFLOWS')).toBe(1);
  expect(n('AUTO_ANSWERS')).toBeGreaterThan(100);
  expect(n('DMA')).toBeLessThan(48);
});
test('AMD, told to answer nothing: a device waits for ever for what is dropped, and gets what is asked behind it', () => {
  const n = firstTouches(4, 8, { answers: false });
  expect(n('AUTO_ANSWERS')).toBe(0);
  expect(n('PRQ_OVERFLOWS')).toBeGreaterThan(0);
  expect(n('PRI_GROUPS')).toBeGreaterThan(n('PAGE_RESPONSES'));
  expect(n('DMA')).toBeLessThan(48);
});
test('one that is off: the response is failure, and the device asks for no page any more', () => {
  const n = firstTouches(0, 1);
  expect(n('PAGE_RESPONSES')).toBe(0);
  expect(n('PAGE_REQUESTS')).toBeLessThanOrEqual(16);
  expect(n('DEVICE_FAULTS')).toBeGreaterThan(n('PAGE_REQUESTS'));
});

test('however page requests are queued, numbers are those of the reference', () => {
  const reached = new Reached(MUST_REACH);
  const prices = fc.array(fc.tuple(fc.constantFrom(...PRICED), fc.constantFrom(0, 1, 700, 5000)), { maxLength: 5 });
  const drawn = fc
    .tuple(setup, pri, prices)
    .map(([setup, { requests, group, prq, loses, restarts, answers, workers }, prices]) => {
      const { machine, device, frames } = withDevices(setup, 1 + (setup.seed % 2));
      // Waits that are aborted make drivers answer twice.
      const hazards = loses ? (['lost-invalidation'] as const) : machine.hazards;
      const lost = hazards.includes('lost-invalidation');
      const steady = { write: 0.5, active: 3e7, idle: 0 };
      const changed = {
        ...setup,
        // With a handful of frames reclaim takes each page before it has been used.
        frames: frames === null ? null : frames + 12,
        // While a page is read in, or until a lost request is given up, a device that is soon back takes many turns.
        costs: costsWith([
          ['prq.interrupt', 3000],
          ['device.pri_backoff', lost || frames !== null || !restarts ? 20_000 : 700],
          ...prices,
        ]),
        device: { ...(device ?? steady), ...(lost ? steady : {}), every: 1, ats: true },
        machine: {
          ...machine,
          hazards,
          iommu: { ...machine.iommu, prq, prqAutoResponse: answers || machine.iommu.commands === 'vtd' },
          device: { ...machine.device, ats: true, priRequests: requests, priGroup: group },
          driver: { ...machine.driver, prqRestart: restarts, prqWorkers: workers },
        },
      };
      return Object.defineProperty(changed, fc.toStringMethod, { value: () => showSetup(changed) });
    });
  const property = fc.property(drawn, steps, (setup, steps) => {
    compareTwins(setup, traceOf(fitting(setup, steps)), reached);
  });
  fc.assert(property, { seed: 6, numRuns: 45, endOnFailure: true });
  expectReached(reached, MUST_REACH);
}, 60_000);
