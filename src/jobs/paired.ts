import type { CostKey } from '../model/cost.ts';
import type { Machine } from '../model/machine.ts';
import { MODEL, type RawRun } from '../model/result.ts';
import type { TimelineAgent } from '../model/timeline.ts';
import { commandLine } from './command-line.ts';
import { compose } from './compose.ts';
import type { DmaJob, MachineJob } from './job.ts';
import type { loadPairs, Pair } from './pairs.ts';
import type { Plan, PlannedTrace, SeededRequest } from './plan.ts';

/** In what the plans for traces of one kind differ from those for another. */
interface TraceKind {
  job(pair: Pick<Pair, 'policy' | 'machine'>, ideal: boolean): MachineJob | DmaJob;
  /** Properties that the engine checks in such a run. */
  readonly checked: readonly string[];
  /** Costs that a run on the machine can pay. */
  paid(machine: Machine): readonly CostKey[];
  /** Options of the command that gives a run again, beside those of every trace. */
  readonly words: readonly string[];
  /** The engine's, by their numbers. */
  agents(machine: Machine): readonly TimelineAgent[];
  /** Page numbers of page ids. */
  pageNumbers(pages: readonly number[]): ReadonlyMap<number, number>;
  added(runs: readonly RawRun[]): string[];
}

/** Every policy on every machine, and the ideal run of each machine. */
export function pairedPlan(
  trace: PlannedTrace,
  request: SeededRequest,
  { costs, machines, pairs, skipped }: ReturnType<typeof loadPairs>,
  { job, checked, paid, words, agents, pageNumbers, added }: TraceKind,
): Plan {
  const used = machines.filter((machine) => pairs.some((pair) => pair.machine === machine));
  const firstOf = (machine: Machine): number => pairs.findIndex((pair) => pair.machine === machine);
  return {
    pairs,
    jobs: [...used.map((machine) => job(pairs[firstOf(machine)]!, true)), ...pairs.map((pair) => job(pair, false))],
    results(raw, alone = false) {
      const runs = raw.slice(used.length);
      const vpns = pageNumbers(runs.flatMap(({ first }) => (first ? [first.page] : [])));
      return pairs.map(({ policy, machine, given }, i) =>
        compose({
          policy: policy.name,
          machine,
          costs,
          seed: request.seed,
          checked,
          paid: paid(machine),
          repro: commandLine(
            'run',
            trace,
            { ...request, settings: given.settings },
            [given.policy],
            [given.machine],
            words,
          ),
          run: runs[i]!,
          ideal: raw[used.indexOf(machine)]!,
          baseline: runs[alone ? i : firstOf(machine)]!,
          agents: agents(machine),
          vpnOf: (page) => vpns.get(page)!,
        }),
      );
    },
    added,
    skipped,
    costs,
    machines: used,
    model: MODEL,
    again: commandLine('compare', trace, request, request.policies, request.machines, words),
  };
}
