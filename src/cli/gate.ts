import type { RunResult } from '../model/result.ts';
import { EXIT } from './errors.ts';

const GATES = ['unsafe', 'exposed'] as const;
export type Gate = (typeof GATES)[number];

/** The option of commands that give verdicts. */
export const GATE_OPTION = {
  choices: GATES,
  requiresArg: true,
  describe: 'Exit with 1 if a verdict is this bad, or worse',
} as const;

/** Sets the exit code if a run is as bad as the gate says. */
export function failOn(gate: Gate | undefined, results: readonly RunResult[]): void {
  const bad = gate === 'exposed' ? ['exposed', 'unsafe'] : ['unsafe'];
  if (gate !== undefined && results.some((run) => bad.includes(run.safety.verdict))) process.exitCode = EXIT.gate;
}
