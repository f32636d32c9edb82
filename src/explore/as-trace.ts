import { loadRaces } from '../catalog/races.ts';
import type { PairRequest } from '../jobs/pairs.ts';
import { shellWord } from '../model/command.ts';
import { UsageError } from '../model/errors.ts';
import type { Exploration } from '../model/exploration.ts';
import type { Race } from '../model/race.ts';
import { NO_TALLY, type TraceMeta } from '../model/trace.ts';
import { codec } from '../trace/input.ts';
import { openOutput } from '../trace/output.ts';
import { writeScheduled } from '../trace/scheduled.ts';
import { type ByteSink, TraceWriter } from '../trace/writer.ts';
import type { Cell } from './explore.ts';
import { cellsOf } from './matrix.ts';
import { parseSchedule } from './schedule.ts';

/** Writes a race and one schedule of it as a trace for `run` and `compare`. */
export function traceSchedule({ race, policy, machine }: Cell, schedule: string, sink: ByteSink): TraceMeta {
  const { entries, agents } = parseSchedule(schedule);
  const out = new TraceWriter(sink, codec);
  writeScheduled(race, entries, agents, out);
  return out.finish({
    source: { format: 'race', file: `${race.name}.race` },
    tally: NO_TALLY,
    inferred: [
      `Nothing was recorded: the order of steps is a schedule of the race, on ${machine.name} under ${policy.name}: ${schedule}`,
      `Each TLB has ${entries} entries, and the queue 8 slots.`,
    ],
  });
}

/** What is asked for, which must be one race of an address space, one policy and one machine. */
export function traceable(races: readonly (string | Race)[], request: PairRequest): Cell {
  const cells = cellsOf(loadRaces(races), request);
  if (cells.length !== 1)
    throw new UsageError(`--as-trace is of one race, policy and machine; these are ${cells.length}`);
  const [cell] = cells as [Cell];
  if (cell.race.family === 'dma')
    throw new UsageError(`--as-trace is of address spaces; ${cell.race.name} is of the DMA API`);
  return cell;
}

/** The same into a file, which appears whole or not at all. What is asked for must be one race, policy and machine. Returns how to run it. */
export function saveSchedule(
  races: readonly (string | Race)[],
  request: PairRequest,
  schedule: string,
  to: string,
): string {
  const cell = traceable(races, request);
  const output = openOutput(to);
  try {
    traceSchedule(cell, schedule, output);
    output.commit();
  } finally {
    output.discard();
  }
  const changes = (cell.settings ?? []).flatMap((setting) => ['--set', setting]);
  const { policy = cell.policy.name, machine = cell.machine.name } = cell.files ?? {};
  const words = ['run', to, '--policy', policy, '--machine', machine, ...changes];
  return `iommulator ${words.map(shellWord).join(' ')}`;
}

/** The schedule that one exploration has found. */
export function counterexampleOf(explorations: readonly Exploration[]): string {
  const [one] = explorations;
  if (one === undefined || explorations.length > 1)
    throw new UsageError(`--as-trace is of one race, policy and machine; these are ${explorations.length}`);
  if (one.verdict !== 'broken')
    throw new UsageError(
      `--as-trace: ${one.race} ${one.verdict} under ${one.policy} on ${one.machine}: there is no schedule to write`,
    );
  return one.schedule;
}
