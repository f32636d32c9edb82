import fc from 'fast-check';
import { test } from 'vitest';
import { consumer, fitting, setup, steps } from '../../testing/draw.ts';
import { costsWith, showSetup, traceOf } from '../../testing/machine.ts';
import { Reached } from '../../testing/numbers.ts';
import { compareTwins, expectReached } from '../../testing/twins.ts';

const MUST_REACH = [
  'table of its own emptied', 'table of its own has nothing of it', 'nothing is mapped: not flushed',
  'fault waits for range_end', 'fault begun anew', 'old translation goes into the table', 'step IP', 'step RE!',
  'N_SKIPPED', 'N_FAULT_RETRIES', 'N_S1_READ', 'N_S2', 'N_STALE', 'N_EXPOSED', 'walk not cached', 'wait for queue',
  'invalidation waits for landings', 'stale copy filled', 'lost race: fault',
]; // biome-ignore format: a table

test('whatever a consumer is told and does then, numbers are those of the reference', () => {
  const reached = new Reached(MUST_REACH);
  const drawn = fc.tuple(setup, consumer).map(([setup, consumer]) => {
    const { machine, device, frames } = setup;
    const driver = { ...machine.driver, deferral: consumer.table === 'shared' && machine.driver.deferral };
    const busy = device ?? { every: 1, write: 0.5, active: 0, idle: 0, ats: true };
    // With a handful of frames reclaim makes every fault begin anew for ever.
    const room = frames === null ? null : frames + 12;
    // Between what a fault reads and what it installs there is time for others.
    const costs = costsWith([['pte.set', 3000]]);
    const changed = { ...setup, costs, frames: room, device: busy, machine: { ...machine, driver, consumer } };
    const text = () => `${showSetup(changed)} ${JSON.stringify(consumer)}`;
    return Object.defineProperty(changed, fc.toStringMethod, { value: text });
  });
  const property = fc.property(drawn, steps, (setup, steps) => {
    compareTwins(setup, traceOf(fitting(setup, steps)), reached);
  });
  fc.assert(property, { seed: 5, numRuns: 45, endOnFailure: true });
  expectReached(reached, MUST_REACH);
}, 60_000);
