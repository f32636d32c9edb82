import type { Exploration } from '../model/exploration.ts';
import { count, type Grid, renderGrid } from './grid.ts';

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

function verdictText({ verdict, property, steps }: Exploration): string {
  return verdict === 'broken' ? `${property} in ${steps.length}` : verdict;
}

/** The matrix, what the words in it mean, races that tell no policy from another, and how to see a schedule. */
export function exploreText(explorations: readonly Exploration[]): string {
  const has = (verdict: string): boolean => explorations.some((one) => one.verdict === verdict);
  const states = explorations.reduce((sum, one) => sum + one.states, 0);
  const { entries } = explorations[0]!.bounds;
  const lines = [
    renderGrid(exploreGrid(explorations), 'table'),
    `${count(states)} states of ${count(explorations.length)} explorations, with TLBs of ${entries.join(' and of ')} entries\n`,
  ];
  if (has('holds')) lines.push('holds    in every order of the steps, within these bounds\n');
  if (has('broken')) lines.push('S2 in N  the property breaks; a shortest schedule that does it has N steps\n');
  if (has('bounded')) lines.push('bounded  there were more states than are kept: nothing is said\n');
  lines.push(...sameUnderAll(explorations));
  const broken = explorations.find(({ verdict }) => verdict === 'broken');
  if (broken !== undefined) {
    const { race, policy, machine, schedule } = broken;
    lines.push(
      `to see one: iommulator explore ${race} --policies ${policy} --machines ${machine} \\\n  --replay ${schedule}\n`,
    );
  }
  return lines.join('');
}

function sameUnderAll(explorations: readonly Exploration[]): string[] {
  const policies = new Set(explorations.map(({ policy }) => policy));
  if (policies.size < 2) return [];
  const races = [...new Set(explorations.map(({ race }) => race))];
  const all = (race: string, verdict: string): boolean =>
    explorations.every((one) => one.race !== race || one.verdict === verdict);
  const line = (verdict: string, words: string): string[] => {
    const names = races.filter((race) => all(race, verdict));
    return names.length === 0 ? [] : [`${words}: ${names.join(', ')}\n`];
  };
  return [...line('holds', 'holds under every policy here'), ...line('broken', 'breaks under every policy here')];
}
