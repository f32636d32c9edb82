import { describe, expect, test } from 'vitest';
import { COSTS, costsWith, runEngine, runReference, traceOf } from '../../testing/machine.ts';
import type { Step } from '../../testing/program.ts';
import { Recording, runDmaReference } from '../../testing/recording.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { costPs } from '../model/cost.ts';
import type { DmaSetup } from '../model/dma.ts';
import type { HazardName } from '../model/hazard.ts';
import type { Machine } from '../model/machine.ts';
import type { RawRun } from '../model/result.ts';
import type { RunSetup } from '../model/run.ts';
import type { Trace } from '../trace/reader.ts';
import { DmaEngine } from './dma.ts';

const US = 1e6;

/** A machine whose driver and devices have faults. */
function faulty(name: string, hazards: readonly HazardName[], device: Partial<Machine['device']> = {}): Machine {
  const base = loadMachine(name);
  return { ...base, hazards: [...hazards], device: { ...base.device, ...device } };
}

/** One mapping of a domain of several devices, unmapped once one of them has used it. */
function sharedDomain(devices: number): Trace {
  const recording = new Recording({ cpus: 1, domains: 1, devices: Array<number>(devices).fill(0) });
  const id = recording.map(7);
  recording.dma(id);
  recording.unmap(id, { accesses: 1 });
  return recording.open();
}
function dmaSetup(machine: Machine): DmaSetup {
  const policy = loadPolicy('strict');
  return { policy, machine, costs: COSTS, seed: 1, reuse: 'immediate', timeScale: 1, ideal: false };
}
function runDma(machine: Machine, trace: Trace): RawRun {
  const engine = new DmaEngine(engineModule('release'), dmaSetup(machine), trace.meta);
  for (const chunk of trace.chunks()) engine.feed(chunk);
  return engine.finish();
}

test('every eighth invalidation lost: a submission that asks eight devices never ends on VT-d, and that is said', () => {
  const machine = (name: string): Machine => faulty(name, ['lost-invalidation'], { ats: true, outstanding: 1 });
  expect(runDma(machine('intel-vtd'), sharedDomain(7)).counters.N_DEVICE_TLB).toBe(7);
  expect(() => runDma(machine('intel-vtd'), sharedDomain(8))).toThrow(
    /^strict on intel-vtd: a record has not ended after millions of turns/,
  );
  // For AMD's IOMMU the command is done.
  expect(runDma(machine('amd-vi'), sharedDomain(8)).counters.N_DEVICE_TLB).toBe(8);
});

test('invalidations lost while a device comes and goes every 100 ns: thousands of turns for each, and an end', () => {
  const base = faulty('intel-svm-nodis', ['aborted-wait-as-done', 'lost-invalidation'], { itags: 1 });
  const setup: RunSetup = {
    policy: loadPolicy('range-end'),
    machine: { ...base, iommu: { ...base.iommu, ring: 5 } },
    costs: costsWith([]),
    seed: 1,
    frames: null,
    device: { every: 4, write: 0.5, active: 0.1 * US, idle: 0.1 * US, ats: true },
    ideal: false,
    cpus: 1,
    lookahead: 0,
  };
  const discard: Step[] = [
    { access: 'write', agent: 0, vpn: 20, straddle: false },
    { event: 'madvise', agent: 0, gap: 0, fields: [0, 20, 21, 4] },
  ];
  const trace = traceOf(Array(10).fill(discard).flat());
  const { raw } = runEngine(engineModule('release'), setup, trace)!;
  expect(raw).toEqual(runReference(setup, trace)!.raw);
  expect(raw.counters.N_ACTIVATIONS).toBeGreaterThan(5000);
});

describe('a driver that spoils every eighth submission, on one CPU of the DMA API', () => {
  /** Pages mapped, used and unmapped, one after the other; the last is used 1 ms after that as well. */
  function unmaps(count: number): Trace {
    const recording = new Recording({ cpus: 1, domains: 1, devices: [0] });
    for (let i = 0; i < count; i++) {
      const id = recording.map(7 + i);
      recording.dma(id, { device: 1 });
      recording.unmap(id, { accesses: 1, gap: 10 * US });
      if (i === count - 1) recording.dma(id, { device: 1, late: 1000 * US });
    }
    return recording.open();
  }
  const COMMANDS = ['N_IOTLB_PAGE', 'N_WAIT', 'N_REFUSED', 'N_EVENTS', 'N_S1_WRITE'];
  const counts = ({ counters }: RawRun): number[] => COMMANDS.map((name) => counters[name]!);

  test.each([
    // On both the wait comes twice: its copy, or one that stores nothing.
    { machine: 'intel-vtd', submit: 'qi.submit', refused: [7, 9, 1, 0, 1] },
    { machine: 'amd-vi', submit: 'amd.submit', refused: [7, 9, 1, 1, 1] },
  ] as const)('$machine: the command is lost, what comes behind is not; a write is priced', (row) => {
    const trace = unmaps(8);
    const right = runDma(faulty(row.machine, [], { ats: false }), trace);
    const wrong = runDma(faulty(row.machine, ['malformed-command'], { ats: false }), trace);
    expect(counts(right)).toEqual([8, 8, 0, 0, 0]);
    expect(counts(wrong)).toEqual(row.refused);
    expect(wrong.causes.submit! - right.causes.submit!).toBe(costPs(COSTS, row.submit));
    expect(counts(runDma(faulty(row.machine, ['malformed-command'], { ats: false }), unmaps(9))).slice(0, 3)).toEqual([
      8, 10, 1,
    ]);
  });

  test('VT-d: the driver does not wait for what it had submitted with that: the answer of a device comes later', () => {
    const trace = unmaps(8);
    const machine = (hazards: HazardName[]): Machine =>
      faulty('intel-vtd-6.12', hazards, { ats: true, outstanding: 1 });
    const [right, wrong] = [runDma(machine([]), trace), runDma(machine(['malformed-command']), trace)];
    expect([right.counters.N_DEVICE_TLB, wrong.counters.N_DEVICE_TLB]).toEqual([8, 8]);
    expect(right.causes.wait! - wrong.causes.wait!).toBeGreaterThan(costPs(COSTS, 'device_tlb.inv'));
  });
});

test('VT-d: a lost invalidation aborts the wait of its submission, which comes anew', () => {
  const recording = new Recording({ cpus: 1, domains: 1, devices: [0, 0] });
  for (let i = 0; i < 8; i++) {
    const id = recording.map(7 + i);
    recording.dma(id, { device: 1 });
    recording.unmap(id, { accesses: 1, gap: 10 * US });
  }
  const machine = faulty('intel-vtd', ['lost-invalidation'], { ats: true, outstanding: 1 });
  const trace = recording.open();
  const run = runDma(machine, trace);
  expect(run).toEqual(runDmaReference(dmaSetup(machine), trace)!.raw);
  // The eighth request is the fourth unmap's: that one asks both devices again, and the sixteenth is the last's but one.
  expect(run.counters).toMatchObject({ N_DEVICE_TLB: 20, N_ABORTED: 2, N_RETRIES: 2, N_S1_WRITE: 0, N_EXPOSED: 0 });
});

test.each(['intel-vtd', 'amd-vi'])('%s: an answer that comes twice changes no number but its own', (name) => {
  const trace = sharedDomain(16);
  const machine = (hazards: HazardName[]): Machine => faulty(name, hazards, { ats: true, outstanding: 1 });
  const [right, wrong] = [runDma(machine([]), trace), runDma(machine(['answered-twice']), trace)];
  expect(wrong.counters.N_STRANGE).toBe(2);
  expect({ ...wrong, counters: { ...wrong.counters, N_STRANGE: 0 } }).toEqual(right);
});
