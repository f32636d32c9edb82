import { readFileSync } from 'node:fs';
import type { RunSetup } from '../../src/model/run.ts';
import { runEngine, runReference } from '../machine.ts';
import { openBytes } from '../program.ts';
import { type Change, changesOf } from './change.ts';

/** A run to be made by the engine and by the reference. */
export interface Rerun {
  /** Files. */
  readonly trace: string;
  readonly engine: string;
  readonly setup: RunSetup;
}

/** Piscina's task: every number of which engine and reference say different things; `old` is the reference's. */
export default function rerun({ trace, engine, setup }: Rerun): Change[] {
  const module = new WebAssembly.Module(readFileSync(engine));
  const opened = openBytes(readFileSync(trace));
  return changesOf(runReference(setup, opened), runEngine(module, setup, opened)).filter(
    ({ path }) => !path.startsWith('reached'),
  );
}
