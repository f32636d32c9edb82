import fc from 'fast-check';
import { expect, test } from 'vitest';
import { consumer, fitting, setup, steps, withDevices } from '../../testing/draw.ts';
import { COSTS, costsWith, runEngine, showSetup, traceOf } from '../../testing/machine.ts';
import { Reached } from '../../testing/numbers.ts';
import type { Step } from '../../testing/program.ts';
import { compareTwins, expectReached } from '../../testing/twins.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy, withSetting } from '../catalog/catalog.ts';
import type { Consumer } from '../model/consumer.ts';
import { consumersOf } from '../model/consumers.ts';
import type { Machine } from '../model/machine.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD } from '../model/run.ts';

const MUST_REACH = [
  'table of its own emptied', 'table of its own has nothing of it', 'nothing is mapped: not flushed',
  'fault waits for range_end', 'fault begun anew', 'old translation goes into the table', 'step IP', 'step RE!',
  'N_SKIPPED', 'N_FAULT_RETRIES', 'N_CALLBACK_PS', 'N_S1_READ', 'N_S2', 'N_STALE', 'N_EXPOSED', 'walk not cached', 'wait for queue',
  'invalidation waits for landings', 'stale copy filled', 'lost race: fault',
]; // biome-ignore format: a table

/** A machine that is a consumer: only who shares the tables can defer. */
function party(machine: Machine, consumer: Consumer): Machine {
  const driver = { ...machine.driver, deferral: consumer.table === 'shared' && machine.driver.deferral };
  return { ...machine, driver, consumer };
}

/** In a third of the runs the consumer is one of two or three. */
const others = fc.oneof(
  { arbitrary: fc.constant([]), weight: 2 },
  { arbitrary: fc.array(fc.tuple(setup, consumer), { minLength: 1, maxLength: 2 }), weight: 1 },
);

test('whatever consumers are told and do then, numbers are those of the reference', () => {
  const reached = new Reached(MUST_REACH);
  let several = 0;
  let severalOfOne = 0;
  const drawn = fc.tuple(setup, consumer, others).map(([setup, consumer, others]) => {
    const { device, frames } = setup;
    const one = party(withDevices(setup, 1 + (setup.seed % 2)).machine, consumer);
    const { levels } = one.iommu;
    const also = others.map(([drawn, consumer], i) => {
      const other = party(withDevices(drawn, 1 + (drawn.seed % 2)).machine, consumer);
      return { ...other, name: `other ${i}`, iommu: { ...other.iommu, levels } };
    });
    const machine = also.length === 0 ? one : { ...one, also };
    const busy = device ?? { every: 1, write: 0.5, active: 0, idle: 0, ats: true };
    // With a handful of frames reclaim makes every fault begin anew for ever.
    const room = frames === null ? null : frames + 20 + 24 * also.length;
    // Between what a fault reads and what it installs there is time for others.
    const costs = costsWith([['pte.set', 3000]]);
    const changed = { ...setup, costs, frames: room, device: busy, machine };
    const text = () => `${showSetup(changed)} ${JSON.stringify([consumer, also])}`;
    return Object.defineProperty(changed, fc.toStringMethod, { value: text });
  });
  const property = fc.property(drawn, steps, (setup, steps) => {
    compareTwins(setup, traceOf(fitting(setup, steps)), reached);
    if (setup.machine.also === undefined) return;
    several++;
    if (consumersOf(setup.machine).some(({ device }) => device.count > 1)) severalOfOne++;
  });
  fc.assert(property, { seed: 6, numRuns: 45, endOnFailure: true });
  expect(several).toBeGreaterThan(5);
  expect(severalOfOne).toBeGreaterThan(3);
  expectReached(reached, MUST_REACH);
}, 60_000);

/** Eight pages used and unmapped, with a device that works on all of them. */
function run(name: string, ...settings: string[]): RawRun {
  const write = (vpn: number): Step => ({ access: 'write', agent: 0, vpn, straddle: false });
  const pages = Array.from({ length: 8 }, (_, vpn) => write(vpn));
  const trace = traceOf([...pages, ...pages, { event: 'munmap', agent: 0, gap: 0, fields: [0, 0, 8] }, write(9)]);
  const device = { every: 1, write: 1, active: 0, idle: 0, ats: true };
  const base = { policy: loadPolicy('linux-4.14'), costs: COSTS, seed: 1, frames: null, ideal: false, cpus: 1 };
  const machine = settings.reduce((one, setting) => withSetting(one, `machine.${setting}`), loadMachine(name));
  const setup = { ...base, machine, device, lookahead: DEFAULT_LOOKAHEAD };
  return runEngine(engineModule('release'), setup, trace)!.raw;
}

test('each of several consumers is called as often as if it were alone, and is given every other piece of work', () => {
  const both = run('intel-sva-kvm');
  expect(both.consumers!.map(({ machine }) => machine)).toEqual(['intel-sva-kvm', 'kvm']);
  const asked = both.consumers!.map(({ counters }) => counters.N_SECONDARY);
  expect(asked).toEqual(['intel-sva', 'kvm'].map((name) => run(name).counters.N_SECONDARY));
  const worked = both.consumers!.map(({ counters }) => counters.N_DMA! - counters.N_DMA_LATE!);
  expect(worked[0]! + worked[1]!).toBeGreaterThan(8);
  expect(Math.abs(worked[0]! - worked[1]!)).toBeLessThanOrEqual(1);
  // What happened is somebody's.
  for (const [name, count] of Object.entries(both.counters))
    expect(count, name).toBe(both.consumers!.reduce((sum, { counters }) => sum + counters[name]!, 0));
});

test('two devices behind one IOMMU: one IOTLB command and one wait serve both, each TLB has a request of its own', () => {
  const one = run('intel-sva').counters;
  const two = run('intel-sva-2dev');
  const { counters, devices = [] } = two;
  for (const name of ['N_SECONDARY', 'N_IOTLB_PAGE', 'N_IOTLB_RANGE', 'N_IOTLB_PASID', 'N_WAIT'])
    expect(counters[name], name).toBe(one[name]);
  expect(one.N_DEVICE_TLB).toBeGreaterThan(0);
  expect(devices.map(({ device, counters }) => [device, counters.N_DEVICE_TLB])).toEqual([
    [0, one.N_DEVICE_TLB],
    [1, one.N_DEVICE_TLB],
  ]);
  // Work goes to them by turns, and what either has walked for is in the IOTLB of both.
  const [first, second] = devices.map(({ counters }) => counters.N_DMA! - counters.N_DMA_LATE!);
  expect(first! + second!).toBeGreaterThan(8);
  expect(Math.abs(first! - second!)).toBeLessThanOrEqual(1);
  for (const name of ['N_DMA', 'N_DEVICE_HIT', 'N_DEVICE_MISS', 'N_IOTLB_HIT', 'N_IOTLB_MISS', 'N_DEVICE_TLB'])
    expect(counters[name], name).toBe(devices.reduce((sum, { counters }) => sum + counters[name]!, 0));
  expect(two).not.toHaveProperty('consumers');
});

test('a driver that goes through the devices flushes the IOTLB, and waits, once for each', () => {
  const names = ['N_SECONDARY', 'N_IOTLB_PAGE', 'N_IOTLB_RANGE', 'N_IOTLB_PASID', 'N_DEVICE_TLB', 'N_WAIT'];
  const counted = (count: number) => {
    const { counters } = run('intel-svm-nodis', `device.count=${count}`);
    return names.map((name) => counters[name]! / (name === 'N_SECONDARY' ? 1 : count));
  };
  expect(counted(1).every((n) => n === 0)).toBe(false);
  expect(counted(2)).toEqual(counted(1));
  expect(counted(3)).toEqual(counted(1));
});
