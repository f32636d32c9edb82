import { type Exploration, type ExplorationResult, type RacesLeftOut, replayCommand } from '../model/exploration.ts';
import { MODEL } from '../model/result.ts';
import { count, type Grid, renderGrid, splitColumns } from './grid.ts';
import { mailSchedule } from './schedule.ts';
import { MAIL, wrap } from './wrap.ts';

/** The result JSON of `explore`. */
export function exploreJson(
  races: readonly Exploration[],
  left: readonly RacesLeftOut[],
  version: string,
): ExplorationResult {
  const leftOut = left.length > 0 && { left_out: left };
  return { format: 1, model: MODEL, tool: { name: 'iommulator', version }, races, ...leftOut };
}

const OF: Readonly<Record<RacesLeftOut['family'], string>> = { mm: 'an address space', dma: 'the DMA API' };

/** What was asked for and not explored, a line per family; nothing if all was. */
export function leftOutLines(left: readonly RacesLeftOut[]): string[] {
  return left.map(({ family, races }) => {
    const which = races.length === 1 ? '1 race' : `${count(races.length)} races`;
    return `left out: ${which} of ${OF[family]}, which ${races.length === 1 ? 'needs' : 'need'} a policy and a machine of family ${family}`;
  });
}

/** A row per race and machine, a column per policy. */
export function exploreGrid(explorations: readonly Exploration[]): Grid {
  const policies = [...new Set(explorations.map(({ policy }) => policy))];
  const keys = [...new Set(explorations.map(({ race, machine }) => JSON.stringify([race, machine])))];
  return {
    columns: ['race', 'machine', ...policies],
    rows: keys.map((key) => {
      const [race, machine] = JSON.parse(key) as [string, string];
      const cells = policies.map((policy) =>
        explorations.find((one) => one.race === race && one.machine === machine && one.policy === policy),
      );
      return [race, machine, ...cells.map((cell) => (cell === undefined ? '' : verdictText(cell)))];
    }),
  };
}

/** The matrix for a mail: a table per machine, of as many policies as fit, and what the words in it mean. */
export function exploreMarkdown(explorations: readonly Exploration[], left: readonly RacesLeftOut[] = []): string {
  const machines = [...new Set(explorations.map(({ machine }) => machine))];
  const tables = machines.flatMap((machine) => {
    const { columns, rows } = exploreGrid(explorations.filter((one) => one.machine === machine));
    // Its own column says the same in every row.
    const without = (cells: readonly string[]): string[] => cells.filter((_, i) => i !== 1);
    return splitColumns({ columns: without(columns), rows: rows.map(without) }, MAIL).map(
      (grid) => `On ${machine}:\n\n${renderGrid(grid, 'md')}`,
    );
  });
  const remarks = [...remarksOn(explorations), ...leftOutLines(left)].map((remark) => wrap(remark, MAIL).join('\n'));
  return [...tables, ...remarks.map((remark) => `${remark}\n`), ...schedulesFor(explorations)].join('\n');
}

/** Races of which a mail has a schedule; whoever wants more asks for less at a time. */
const MAILED = 3;

/** Of each of the first races that break, the shortest of its shortest schedules. */
function schedulesFor(explorations: readonly Exploration[]): string[] {
  const broken = explorations.filter(({ verdict }) => verdict === 'broken');
  broken.sort((a, b) => a.steps.length - b.steps.length);
  const races = [...new Set(explorations.map(({ race }) => race))];
  const found = races.flatMap((name) => broken.find(({ race }) => race === name) ?? []);
  const left = found.length - MAILED;
  const more = left > 0 ? [`${left} more races break; \`explore RACE --format md\` has their schedules.\n`] : [];
  return [...found.slice(0, MAILED).map(mailSchedule), ...more];
}

function verdictText({ verdict, property, steps }: Exploration): string {
  return verdict === 'broken' ? `${property} in ${steps.length}` : verdict;
}

/** The matrix, what the words in it mean, races that tell no policy from another, and how to see a schedule. */
export function exploreText(explorations: readonly Exploration[], left: readonly RacesLeftOut[]): string {
  const tables = tablesOf(explorations).map((some) => renderGrid(exploreGrid(some), 'table'));
  const remarks = [...remarksOn(explorations), ...leftOutLines(left)];
  const lines = [tables.join('\n'), ...remarks.map((line) => `${line}\n`)];
  const broken = explorations.find(({ verdict }) => verdict === 'broken');
  if (broken !== undefined) {
    lines.push(`to see one: ${replayCommand(broken).replace(/ (?=--set|--replay)/, ' \\\n  ')}\n`);
  }
  return lines.join('');
}

/** Races of an address space and of the DMA API have policies of their own, and so tables. */
function tablesOf(explorations: readonly Exploration[]): Exploration[][] {
  const policiesOf = (race: string): string =>
    [...new Set(explorations.flatMap((one) => (one.race === race ? [one.policy] : [])))].join();
  const keys = new Map([...new Set(explorations.map(({ race }) => race))].map((race) => [race, policiesOf(race)]));
  return [...new Set(keys.values())].map((key) => explorations.filter(({ race }) => keys.get(race) === key));
}

function remarksOn(explorations: readonly Exploration[]): string[] {
  const has = (verdict: string): boolean => explorations.some((one) => one.verdict === verdict);
  const states = explorations.reduce((sum, one) => sum + one.states, 0);
  const { entries } = explorations[0]!.bounds;
  return [
    `${count(states)} states of ${count(explorations.length)} explorations, with TLBs of ${entries.join(' and of ')} entries`,
    ...(has('holds') ? ['holds    in every order of the steps, within these bounds'] : []),
    ...(has('broken') ? ['S2 in N  the property breaks; a shortest schedule that does it has N steps'] : []),
    ...(has('bounded') ? ['bounded  there were more states than are kept: nothing is said'] : []),
    ...sameUnderAll(explorations),
  ];
}

function sameUnderAll(explorations: readonly Exploration[]): string[] {
  const policies = new Set(explorations.map(({ policy }) => policy));
  if (policies.size < 2) return [];
  const races = [...new Set(explorations.map(({ race }) => race))];
  const all = (race: string, verdict: string): boolean =>
    explorations.every((one) => one.race !== race || one.verdict === verdict);
  const line = (verdict: string, words: string): string[] => {
    const names = races.filter((race) => all(race, verdict));
    return names.length === 0 ? [] : [`${words}: ${names.join(', ')}`];
  };
  return [...line('holds', 'holds under every policy here'), ...line('broken', 'breaks under every policy here')];
}
