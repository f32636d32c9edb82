import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitting, setup, steps } from '../../testing/draw.ts';
import { dmaCase, recordingOf } from '../../testing/draw-dma.ts';
import { runEngine, runReference, traceOf } from '../../testing/machine.ts';
import { compileEngine, type Mutation } from '../../testing/mutant.ts';
import { runDmaEngine, runDmaReference } from '../../testing/recording.ts';

/** Changes of one line each, and what they make the engine do. Each must show in some number of some run. */
const MUTATIONS: readonly (Mutation & { readonly does: string })[] = [
  { file: 'access.ts', text: '\n  if (noteUser(page, who.id)) ', instead: '\n  if (!noteUser(page, who.id)) ', does: 'the first use of a new PTE obliges nobody' },
  { file: 'cpu.ts', text: 'if (cpu.poked != 0) {', instead: 'if (cpu.poked > 1) {', does: 'a run goes on through an entry that is gone' },
  { file: 'cpu.ts', text: 'if (end > limit) break;', instead: 'if (clock > limit) break;', does: 'hits run past what others may change' },
  { file: 'cpu.ts', text: '    if (!staysNext(who)) return WENT_ON;\n', instead: '', does: 'an access that has been served goes on before others have flushed' },
  { file: 'fault.ts', text: '&& !file && (flags & PTE_SWP) == 0', instead: '&& !file', does: 'a page in swap is read as zeroes' },
  { file: 'path.ts', text: 'return pages > setting(SET_CEILING)', instead: 'return pages >= setting(SET_CEILING)', does: 'a flush of as many pages as the ceiling is a full one' },
  { file: 'reclaim.ts', text: 'if (load<u8>(touched + page) != 0) {', instead: 'if (load<u8>(touched + page) > 1) {', does: 'a used page has no second chance' },
  { file: 'invalidation.ts', text: '(vtdPage(at) >> pageOrder) << pageOrder', instead: 'vtdPage(at)', does: 'a range is not aligned to its size' },
  { file: 'space.ts', text: '(!writes || (flags & (PTE_W | PTE_D)) == (PTE_W | PTE_D))', instead: 'true', does: 'an entry that writes outlives the permission' },
  { file: 'safety.ts', text: 'if (load<u64>(changedAt + (<usize>page << 3)) != 0) return;', instead: '', does: 'each stale copy opens the window anew' },
  { file: 'flight.ts', text: 'acquire(who.id, knowledgeOf(issuer.id));', instead: '', does: 'a device has not heard what its driver knew' },
  { file: 'lock.ts', text: 'lock.kind != WALKERS) spend(next', instead: 'lock.kind == QUEUE_LOCK) spend(next', does: 'a page-table lock is handed over in no time' },
  { file: 'cpu.ts', text: 'if (hits != 0) useAgain(', instead: 'if (hits > 1) useAgain(', does: 'the second access of a run is no hit to SRRIP' },
  { file: 'clock.ts', text: 'now > who.clock ? now - who.clock : 0', instead: 'now - who.clock', does: 'who is woken before its own time goes back to that' },
]; // biome-ignore format: a table

/** The same, of what replays recordings. */
const DMA_MUTATIONS: typeof MUTATIONS = [
  { file: 'flushqueue.ts', text: 'if (oldest.counter >= cookie(space).finished) return;', instead: '', does: 'an IOVA is free before the flush: S6' },
  { file: 'issuer.ts', text: 'mapping.began + after - 1 - who.clock', instead: 'mapping.began + after - who.clock', does: 'a late access is a picosecond later' },
  { file: 'mapping.ts', text: 'if (!isLive(frame)) markFreed(frame);', instead: 'markFreed(frame);', does: 'a frame of another mapping is free' },
  { file: 'iommu.ts', text: 'if (!leafOnly) dropTables(', instead: 'dropTables(', does: 'the hint spares no walk cache' },
  { file: 'table.ts', text: 'const replaces = load<u64>(wordIn(table, offset)) != 0;', instead: 'const replaces = false;', does: 'walk caches lead to tables whose place a leaf has' },
  { file: 'submit.ts', text: ' && spaceOfDevice(device) == spaceOf(job.first)', instead: '', does: 'devices of other domains are asked too' },
]; // biome-ignore format: a table

/** Programs, and recordings, that a mutation is given to show. */
const PROGRAMS = 200;

const programs = fc.sample(fc.tuple(setup, steps), { seed: 42, numRuns: PROGRAMS }).map(([setup, steps]) => {
  const trace = traceOf(fitting(setup, steps));
  let reference: ReturnType<typeof runReference> | undefined;
  /** Whether an engine says what the reference says. */
  return (engine: WebAssembly.Module): boolean => {
    reference = reference === undefined ? runReference(setup, trace) : reference;
    const run = runEngine(engine, setup, trace);
    if (run === null || reference === null) return run === reference;
    return isDeepStrictEqual(run.raw, reference.raw) && run.freeFrames === reference.freeFrames;
  };
});

const recordings = fc.sample(dmaCase, { seed: 3, numRuns: PROGRAMS }).map(({ setup, program }) => {
  const trace = recordingOf(program);
  let reference: ReturnType<typeof runDmaReference> | undefined;
  return (engine: WebAssembly.Module): boolean => {
    reference = reference === undefined ? runDmaReference(setup, trace) : reference;
    return isDeepStrictEqual(runDmaEngine(engine, setup, trace), reference?.raw ?? null);
  };
});

/** Index of the first program on which the engine is not the reference, or breaks off; -1 if there is none. */
function caught(engine: WebAssembly.Module, all: typeof programs): number {
  return all.findIndex((agrees) => {
    try {
      return !agrees(engine);
    } catch {
      return true;
    }
  });
}

describe('engine = reference turns red when the engine', () => {
  test.each(MUTATIONS)('$file: $does', async (mutation) => {
    expect(caught(await compileEngine(mutation), programs)).toBeGreaterThanOrEqual(0);
  });
  test.each(DMA_MUTATIONS)('$file: $does', async (mutation) => {
    expect(caught(await compileEngine(mutation), recordings)).toBeGreaterThanOrEqual(0);
  });
});

test('and not when it is compiled the same way without a change', async () => {
  const engine = await compileEngine();
  for (const agrees of [...programs.slice(0, 60), ...recordings.slice(0, 60)]) expect(agrees(engine)).toBe(true);
});

test('a line that is no longer there is named', async () => {
  const gone = { file: 'clock.ts', text: 'no such line', instead: '' };
  await expect(compileEngine(gone)).rejects.toThrow(
    'assembly/clock.ts: "no such line" stands there 0 times, expected once',
  );
});
