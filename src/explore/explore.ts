import { FLIGHT, HANDLER, RaceEngine, SEARCH_BOUNDS } from '../engine/race.ts';
import { iovaNames } from '../engine/race-dma.ts';
import type { Costs } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import {
  type Exploration,
  type FilesGiven,
  type Replay,
  type ScheduleStep,
  stepsInWords,
} from '../model/exploration.ts';
import { DENIED, LANDS_STALE, type LogEvent } from '../model/log.ts';
import type { Machine } from '../model/machine.ts';
import type { Policy } from '../model/policy.ts';
import type { Race, RaceProperty } from '../model/race.ts';
import { parseSchedule, scheduleText } from './schedule.ts';

/** One cell of the matrix: a race, a policy, a machine. */
export interface Cell {
  readonly race: Race;
  readonly policy: Policy;
  readonly machine: Machine;
  readonly costs: Costs;
  /** Those of the three that are files; absent if none is. */
  readonly files?: FilesGiven;
  /** What was changed about policy and machine; absent if nothing was. */
  readonly settings?: readonly string[];
}

/** Entries of each TLB in the two searches: small ones evict, larger ones keep what is stale. */
const ENTRIES = [2, 8] as const;

/** What a cell is of. */
function namesOf({ race, policy, machine, files, settings }: Cell) {
  return {
    race: race.name,
    about: race.about,
    policy: policy.name,
    machine: machine.name,
    ...(files && { files }),
    ...(settings && { settings }),
  };
}

/** Goes through all schedules of a race, with small and with larger caches. Null if `stop` said so. */
export function exploreCell(cell: Cell, module: WebAssembly.Module, stop: () => boolean): Exploration | null {
  const { race, policy, machine } = cell;
  const rest = {
    ...namesOf(cell),
    bounds: { entries: ENTRIES, ...SEARCH_BOUNDS },
  };
  let states = 0;
  let bounded = false;
  let shortest: Replay | null = null;
  for (const entries of ENTRIES) {
    const engine = new RaceEngine(module, race, { ...cell, entries });
    const found = engine.search(stop);
    if (found === null) return null;
    states += found.states;
    const schedule = scheduleText({ entries, agents: found.schedule.map((agent) => engine.nameOf(agent)) });
    if (found.verdict === 'stuck')
      throw new UsageError(
        `race ${race.name}: under ${policy.name} on ${machine.name} some agents wait for ever after --replay ${schedule}`,
      );
    bounded ||= found.verdict === 'bounded';
    if (found.verdict !== 'broken') continue;
    const replayed = replay(cell, schedule, module);
    if (shortest === null || replayed.steps.length < shortest.steps.length) shortest = replayed;
  }
  if (shortest === null) {
    const verdict = bounded ? 'bounded' : 'holds';
    return { ...rest, verdict, property: null, states, schedule: '', steps: [] };
  }
  const { schedule, property } = shortest;
  return { ...rest, verdict: 'broken', property, states, schedule, steps: stepsInWords(shortest) };
}

/** Runs one schedule and tells what happened in each step. */
export function replay(cell: Cell, text: string, module: WebAssembly.Module): Replay {
  const { race, policy } = cell;
  const { entries, agents } = parseSchedule(text);
  const engine = new RaceEngine(module, race, { ...cell, entries });
  engine.log();
  const steps: ScheduleStep[] = [];
  let property: string | null = null;
  for (const [i, agent] of agents.entries()) {
    const events = engine.step(agent);
    if (events === null) {
      const able = engine.enabled();
      const who = able.length === 0 ? 'nobody can' : `only ${able.join(', ')} can`;
      throw new UsageError(`--replay: step ${i + 1}: ${agent} cannot take a step there, ${who}`);
    }
    for (const step of rowsOf(agent, events, (id) => engine.nameOf(id))) {
      if (property !== null) break;
      steps.push(step);
      property = race.never.find((never) => step.events.some((event) => isBroken(event, never))) ?? null;
    }
  }
  return {
    ...namesOf(cell),
    schedule: text,
    agents: [
      ...race.agents.map(({ name }) => name),
      ...(race.family === 'dma' ? ['access', 'timer'] : []),
      'iommu',
      'link',
      ...(engine.queues ? [FLIGHT, HANDLER] : []),
    ],
    actions: Object.fromEntries(race.agents.map((agent) => [agent.name, agent.actions.map(({ text }) => text)])),
    pages: race.family === 'dma' && policy.dma!.unmap !== 'never' ? iovaNames() : race.pages.map(({ name }) => name),
    buffers: race.family === 'dma' ? race.pages.map(({ name }) => name) : [],
    steps,
    property,
  };
}

/** One step as told: what IOMMU and link have done of themselves at its end stands in rows of their own. */
function rowsOf(agent: string, events: readonly LogEvent[], nameOf: (id: number) => string): ScheduleStep[] {
  const rows: { agent: string; events: LogEvent[] }[] = [{ agent, events: [] }];
  for (const event of events) {
    const by = event.kind === 'command' ? nameOf(event.agent) : rows.at(-1)!.agent;
    if (by !== rows.at(-1)!.agent) rows.push({ agent: by, events: [] });
    rows.at(-1)!.events.push(event);
  }
  return rows.length > 1 && rows[0]!.events.length === 0 ? rows.slice(1) : rows;
}

/** Whether an event is what a race says must never be. */
function isBroken({ kind, what }: LogEvent, never: RaceProperty): boolean {
  if (never === 'exposed') return kind === 'due';
  if (never === 'stale') return kind === 'device' && what === LANDS_STALE;
  if (never === 'denied') return kind === 'device' && what === DENIED;
  if (never === 'late') return kind === 'access' && what === 'late';
  return kind === 'broken' && what === never;
}
