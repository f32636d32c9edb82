import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DmaProgram, dmaCase, LATE_RETURN, recordingOf } from '../../testing/draw-dma.ts';
import { Reached } from '../../testing/numbers.ts';
import { Recording, runDmaEngine, runDmaReference } from '../../testing/recording.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { loadCosts, loadMachine, loadPolicy } from '../catalog/catalog.ts';
import type { DmaSetup } from '../model/dma.ts';
import type { HazardName } from '../model/hazard.ts';
import type { DmaReferenceRun } from '../reference/dma-machine.ts';

const OUT_OF_REACH = new Set([
  // An IOVA is free only once an invalidation that covers its unmap is complete, whatever a policy's data say,
  // but with the hazard of the next test.
  'N_S6',
  // Machines of the DMA API have domains; the catalog refuses iotlb.pasid for them.
  'N_IOTLB_PASID',
  'N_PASID_HIT',
  'N_PASID_MISS',
  // A device that loses what a VT-d driver asks of it is rare: queue-errors.test.ts has one.
  'N_ABORTED',
  'N_RETRIES',
  // CPUs of a recording have no TLBs, and its domains no page-table locks.
  'cpuWindow.sum',
  'lockHold.sum',
]);

const MUST_REACH = [
  ...['iotlb.page', 'iotlb.range', 'iotlb.domain', 'iotlb.global', 'device_tlb.page', 'device_tlb.range', 'device_tlb.all', 'wait'].map((word) => `command ${word}`),
  ...['iova tree', 'queue', 'cache tags', 'walkers'].map((kind) => `wait for ${kind}`), 'several batches', 'range in blocks',
  'previous magazine loaded', 'magazine from the depot', 'magazine to the depot', 'magazine to the tree', 'IOVA without a magazine',
  'two flushes of a domain at once', 'timer armed while it flushes', 'range too wide for a command', 'ring full', 'wait for an ITag', 'several requests at a time', 'several waits at a time',
  'unmap waits', 'scatter list unmapped', 'no place in flight', 'invalidation waits for landings', 'window opened',
  'window of a later unmap', 'frame of another mapping too', 'frame handed back, and kept', 'exit to the hypervisor', 'flush: each-domain', 'flush: global', 'stale copy evicted', 'stale copy filled',
  'tables spared', 'table forgotten', 'range of a whole table', 'leaf of order 9', 'large leaf in an IOTLB of its own', 'leaf in place of tables', 'walk not cached', 'translation not cached', 'stale use after the obligation, no property broken', 'out of IOVAs',
]; // biome-ignore format: a table

/** What every run of a recording keeps to. */
function checkLaws({ policy, machine, reuse, ideal }: DmaSetup, { steps }: DmaProgram, run: DmaReferenceRun): void {
  const { counters: n, distributions, openAtEnd } = run.raw;
  const { unmap } = policy.dma!;
  if (!machine.hazards.includes('iova-before-flush')) expect(n.N_S6).toBe(0);
  expect(n.N_WALKS).toBe(n.N_IOTLB_MISS);
  expect(distributions.window!.count + openAtEnd).toBe(run.reached['window opened'] ?? 0);
  if (ideal || unmap !== 'never') {
    const raw = steps.filter(({ what }) => what === 'raw').length;
    const lookups = machine.device.ats ? n.N_DEVICE_HIT! + n.N_DEVICE_MISS! : n.N_IOTLB_HIT! + n.N_IOTLB_MISS!;
    expect(lookups).toBe(n.N_DMA! - raw);
    if (reuse === 'immediate') expect(n.N_STALE).toBe(n.N_IN_FLIGHT! + n.N_S1_READ! + n.N_S1_WRITE! + n.N_SHARED!);
  }
  const harm = [n.N_S1_READ, n.N_S1_WRITE, n.N_SHARED, n.N_EXPOSED, openAtEnd];
  if (ideal || (unmap === 'strict' && machine.hazards.length === 0)) expect(harm).toEqual([0, 0, 0, 0, 0]);
  if (ideal) expect(n.N_STALE).toBe(0);
}

test('numbers are those of the reference on both builds, whatever the recording, the machine and the policy', () => {
  const reached = new Reached(MUST_REACH);
  const property = fc.property(dmaCase, ({ setup, program }) => {
    const trace = recordingOf(program);
    const reference = runDmaReference(setup, trace);
    for (const build of BUILDS)
      expect(runDmaEngine(engineModule(build), setup, trace), build).toEqual(reference?.raw ?? null);
    if (reference === null) {
      reached.count('out of IOVAs');
      return;
    }
    checkLaws(setup, program, reference);
    reached.add(reference);
  });
  fc.assert(property, { seed: 15, numRuns: 400, examples: [[LATE_RETURN]], endOnFailure: true });
  expect(reached.missing(OUT_OF_REACH), reached.text).toEqual([]);
});

test('so they are where IOVAs are handed out too early, and large leaves take the place of small ones', () => {
  const hazards: readonly HazardName[] = ['lost-invalidation', 'iova-before-flush', 'no-caller-ref'];
  const first = new Set<number>();
  const property = fc.property(dmaCase, ({ setup: drawn, program }) => {
    const setup = { ...drawn, machine: { ...drawn.machine, hazards } };
    const trace = recordingOf(program);
    const raw = runDmaReference(setup, trace)?.raw ?? null;
    if (raw?.first) first.add(raw.first.property);
    expect(runDmaEngine(engineModule('release'), setup, trace)).toEqual(raw);
  });
  fc.assert(property, { seed: 77, numRuns: 120, endOnFailure: true });
  expect(first).toContain(6);
});

test.each(['strict', 'lazy'])(
  'so they are where an IOTLB of 118 ways is empty, in part in use and full: %s',
  (policy) => {
    const recording = new Recording({ cpus: 1, domains: 1, devices: [0] });
    const live: { id: number; accesses: number }[] = [];
    const use = (mapping: { id: number; accesses: number }): void => {
      recording.dma(mapping.id, { device: 1, gap: 20_000_000 });
      mapping.accesses++;
    };
    // Up to so many mappings at a time; those that are used again and taken away are from all over the set.
    for (const most of [2, 17, 40, 118, 140]) {
      while (live.length < most) {
        const mapping = { id: recording.map(live.length), accesses: 0 };
        live.push(mapping);
        use(mapping);
      }
      for (let i = 0; i < most; i++) use(live[(i * 7) % most]!);
      for (let i = 0; live.length > most / 3; i++) {
        const [{ id, accesses }] = live.splice((i * 5) % live.length, 1) as [(typeof live)[0]];
        recording.unmap(id, { accesses, gap: 1_000_000_000 });
      }
      for (const mapping of live) use(mapping);
    }
    const trace = recording.open();
    const usual = { costs: loadCosts(), seed: 1, reuse: 'immediate', timeScale: 1, ideal: false } as const;
    const setup: DmaSetup = { ...usual, policy: loadPolicy(policy), machine: loadMachine('intel-vtd') };
    const { raw } = runDmaReference(setup, trace)!;
    expect(raw.counters.N_IOTLB_HIT).toBeGreaterThan(200);
    expect(raw.counters.N_WALKS).toBeGreaterThan(trace.meta.counts.maps);
    expect(runDmaEngine(engineModule('checked'), setup, trace)).toEqual(runDmaReference(setup, trace)!.raw);
  },
);
