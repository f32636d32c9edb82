import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fitting, setup, steps, withDevices } from '../../testing/draw.ts';
import { runEngine, runReference, traceOf } from '../../testing/machine.ts';
import { Reached } from '../../testing/numbers.ts';
import type { Step } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { PATH_NAMES } from '../model/path.ts';
import { PTE_STATES, STEPS } from '../model/policy.ts';
import { MM_EVENTS } from '../model/trace.ts';

/** Too rare: a device told of a page by one CPU while another discards it; contention.test.ts has one. Of consumers that have a table of their own: consumer.test.ts. Of queued page requests: page-request.test.ts. */
const OUT_OF_REACH = new Set([
  'N_ALLOWED', 'N_SKIPPED', 'N_FAULT_RETRIES', 'N_CALLBACK_PS', 'N_PRI_GROUPS', 'N_PRQ_OVERFLOWS', 'N_PRQ_DROPPED', 'N_AUTO_ANSWERS', 'N_PAGE_RESPONSES',
]); // biome-ignore format: a table

const MUST_REACH = [
  ...Object.keys(STEPS).filter((word) => word !== 'PS').map((word) => `step ${word}`),
  ...Object.keys(PTE_STATES).map((state) => `step PS(${state})`),
  ...[...MM_EVENTS].map((op) => `event ${op}`),
  ...['iotlb.page', 'iotlb.range', 'iotlb.pasid', 'iotlb.domain', 'iotlb.global', 'device_tlb.page', 'device_tlb.range', 'device_tlb.all', 'wait'].map((word) => `command ${word}`),
  ...['frame', 'zero', 'cow', 'reuse', 'frame from swap'].map((mode) => `fault: ${mode}`),
  ...['fault', 'cow', 'reclaim_swap', 'reclaim_file', 'reclaim_lazyfree'].map((path) => `lost race: ${path}`),
  ...['page table', 'queue', 'walkers'].map((kind) => `wait for ${kind}`),
  'several requests at a time', 'several waits at a time', 'wait for an ITag', 'wait for the queue to see the end', 'request given up', 'marked though active', 'access while idle', 'ring full', 'wait for a frame', 'wait for reclaim of the page', 'fault for nothing',
  'stale copy evicted', 'stale copy filled', 'stale CPU entry evicted', 'walk not cached', 'translation not cached',
  'invalidation waits for landings', 'range covered in part', 'range of everything overflows', 'idle, but marked already', 'window opened',
  'deferred invalidation carried out', 'obligation behind a deferred invalidation', 'page gone while it was asked for',
  'stale use after the obligation, no property broken', 'mmap over something', 'mremap over something', 'page moved',
  'swap entry moved', 'moved while reclaim works on it', 'moved to where no access goes', 'unmapped page touched again',
  'open run looked up again', 'run cut', 'one CPU interrupts another', 'idle CPU left out', 'idle CPU comes back', 'flushed already', 'flushes all: one was missed', 'CPU entry outlives the call', 'gather full', 'wait to read under mmap_lock', 'wait to write under mmap_lock',
  'shared with a child', 'shared with a child again', 'copied for a child',
  'the child is gone: reused', 'content read', 'freed by the child', 'the kernel waits for a frame', 'copy for nothing',
  'denied: the space was released', 'fault: back', 'wait for the copy of the page',
  'command to each of several devices', 'list submitted for each of several devices',
  ...PATH_NAMES.map((path) => `path ${path}`),
  ...['uprobe', 'migrate', 'migrate_vma', 'numa_migrate'].map((path) => `lost race: ${path}`),
]; // biome-ignore format: a table

/** The steps as those of several CPUs, who go on with the program in turn. */
function shared(steps: readonly Step[], cpus: number, deal: number): Step[] {
  return steps.map((step, i) => ('outcome' in step ? step : { ...step, agent: Math.floor(i / deal) % cpus }));
}

test('numbers are those of the reference on both builds, whatever the program, the machine and the policy', () => {
  const reached = new Reached(MUST_REACH);
  const property = fc.property(
    setup,
    steps,
    fc.boolean(),
    fc.integer({ min: 3, max: 40 }),
    fc.constantFrom(1, 1, 1, 2, 3),
    (drawnSetup, drawn, recorded, deal, count) => {
      const setup = withDevices(drawnSetup, count);
      const steps = fitting(setup, drawn);
      const trace = recorded ? traceOf(shared(steps, setup.cpus, deal), setup.cpus) : traceOf(steps);
      const reference = runReference(setup, trace, deal);
      for (const build of BUILDS) {
        const engine = runEngine(engineModule(build), setup, trace, deal);
        if (engine === null || reference === null) {
          expect(engine, build).toBe(reference);
          continue;
        }
        expect(engine.raw, build).toEqual(reference.raw);
        expect(engine.freeFrames, `free frames, ${build}`).toBe(reference.freeFrames);
      }
      if (reference === null) return;

      const { counters, distributions, openAtEnd } = reference.raw;
      const { fetches, datas } = trace.meta.counts;
      expect(counters.N_COMPUTE).toBe(fetches + datas);
      expect(distributions.window!.count + openAtEnd).toBe(reference.reached['window opened'] ?? 0);
      if (setup.ideal) expect([counters.N_STALE, counters.N_EXPOSED, openAtEnd]).toEqual([0, 0, 0]);
      reached.add(reference);
    },
  );
  fc.assert(property, { seed: 17, numRuns: 400, endOnFailure: true });
  expect(reached.missing(OUT_OF_REACH), reached.text).toEqual([]);
}, 240_000);
