import { loadRaces } from '../catalog/races.ts';
import type { PoolOptions } from '../jobs/pool.ts';
import type { Exploration } from '../model/exploration.ts';
import { type Judged, judge, type Trial } from '../model/statement.ts';
import type { Cell } from './explore.ts';
import { cellsOf, exploreAll } from './matrix.ts';
import { STATEMENTS } from './statements.ts';

/** The word that stands for the statements of the mail thread of 2017, where a race's name could. */
export const THREAD = 'thread';

/** Tries every statement; what several trials ask for is explored once. */
export async function judgeThread(options: PoolOptions = {}): Promise<Judged[]> {
  const cells = new Map<string, Cell>();
  const keysOf = ({ races, policies, machines, set: settings = [] }: Trial): string[] =>
    cellsOf(loadRaces(races), { policies, machines, settings }).map((cell) => {
      const key = JSON.stringify([cell.race.name, cell.policy.name, cell.machine.name, settings]);
      if (!cells.has(key)) cells.set(key, cell);
      return key;
    });
  const wanted = STATEMENTS.map(({ trials }) => trials.map(keysOf));
  const found = await exploreAll([...cells.values()], options);
  const byKey = new Map<string, Exploration>([...cells.keys()].map((key, i) => [key, found[i]!]));
  return STATEMENTS.map((statement, i) =>
    judge(
      statement,
      wanted[i]!.map((keys) => keys.map((key) => byKey.get(key)!)),
    ),
  );
}
