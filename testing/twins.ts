import { expect } from 'vitest';
import type { RunSetup } from '../src/model/run.ts';
import type { Trace } from '../src/trace/reader.ts';
import { runEngine, runReference } from './machine.ts';
import type { Reached } from './numbers.ts';
import { engineModule } from './wasm.ts';

/** Fails unless the engine and its slow twin say the same of a run; adds what the twin has reached. */
export function compareTwins(setup: RunSetup, trace: Trace, reached: Reached): void {
  const reference = runReference(setup, trace);
  const engine = runEngine(engineModule('checked'), setup, trace);
  if (engine === null || reference === null) {
    expect(engine).toBe(reference);
    return;
  }
  expect(engine.raw).toEqual(reference.raw);
  expect(engine.freeFrames).toBe(reference.freeFrames);
  reached.add(reference);
}

/** Fails unless all of these have happened; what else there is another test reaches. */
export function expectReached(reached: Reached, must: readonly string[]): void {
  const missing = reached.missing(new Set());
  expect(
    missing.filter((what) => must.includes(what)),
    reached.text,
  ).toEqual([]);
}
