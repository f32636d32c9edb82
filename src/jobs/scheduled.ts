import { UsageError } from '../model/errors.ts';
import type { RawRun } from '../model/result.ts';
import type { Pair } from './pairs.ts';
import type { CompareRequest } from './plan.ts';

/** Properties that the engine checks in a run of a scheduled trace: a second process can have the PASID. */
export const CHECKED_SCHEDULED = ['S1', 'S2', 'S2x', 'S3', 'S4', 'S5'];

/** A scheduled trace has all its agents. */
export function refuseAdded(name: string, { memory, device, cpus }: CompareRequest): void {
  if (memory !== undefined || device !== undefined || cpus !== undefined)
    throw new UsageError(
      `${name} is scheduled, with CPUs, reclaim and a device of its own: --memory, --device and --cpus are for other traces`,
    );
}

/** How far runs have followed the schedule, in sentences: one for each number of steps. */
export function scheduleTexts(pairs: readonly Pair[], runs: readonly RawRun[]): string[] {
  const rows = runs.map(({ schedule }, i) => ({ pair: pairs[i]!, ...schedule! }));
  const counts = [...new Set(rows.map(({ taken }) => taken))].sort((a, b) => b - a);
  if (rows.every(({ taken, passed }) => taken + passed === 0))
    return ['no schedule: agents go in the order of their clocks'];
  const sentences = counts.map((taken) => {
    const alike = rows.filter((row) => row.taken === taken);
    const of = taken + alike[0]!.passed;
    const names = [...new Set(alike.map(({ pair }) => nameOf(pair, taken, rows)))];
    return `${taken} of the schedule's ${of} steps under ${names.join(', ')}`;
  });
  return rows.some(({ passed }) => passed > 0)
    ? [...sentences, 'steps of an agent that waits, or is at its end, are passed over']
    : sentences;
}

/** The policy; with its machine where others differ. */
function nameOf({ policy, machine }: Pair, taken: number, rows: readonly { pair: Pair; taken: number }[]): string {
  const same = rows.every((row) => row.pair.policy !== policy || row.taken === taken);
  return same ? policy.name : `${policy.name} on ${machine.name}`;
}
