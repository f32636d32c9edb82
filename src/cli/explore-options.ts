import type { Argv } from 'yargs';
import { EXPLORE_DEFAULTS } from '../explore/matrix.ts';

const TEXT = { type: 'string', requiresArg: true } as const;
const RACES = {
  type: 'string',
  array: true,
  demandOption: true,
  describe: 'Race files, folders, names, or all; or thread: the statements of 2017, tried',
} as const;
const NAMES = { ...TEXT, describe: 'a,b,...: names or YAML files, or all' } as const;
const GATES = ['broken'] as const;

/** Options of `explore`, as yargs gives them. */
export interface ExploreArgs {
  races: string[];
  policies?: string;
  machines?: string;
  set?: string[];
  workers?: string;
  replay?: string;
  asTrace?: string;
  failOn?: (typeof GATES)[number];
  quiet: boolean;
}

/** Adds the races and the options. */
export const exploreOptions = <T>(y: Argv<T>) =>
  y
    .positional('races', RACES)
    .option('policies', { ...NAMES, alias: 'policy', defaultDescription: EXPLORE_DEFAULTS.policies.join() })
    .option('machines', { ...NAMES, alias: 'machine', defaultDescription: EXPLORE_DEFAULTS.machines.join() })
    .option('replay', { ...TEXT, describe: 'Draw this schedule of one race, policy and machine' })
    .option('as-trace', {
      ...TEXT,
      describe: 'Write that schedule, or the one found, as a trace for run, compare and timeline',
    })
    .option('fail-on', { choices: GATES, requiresArg: true, describe: 'Exit with 1 if a property breaks' })
    .option('set', { ...TEXT, array: true, nargs: 1, describe: 'machine.KEY=VALUE' })
    .option('workers', { ...TEXT, describe: 'Worker threads; all cores if not given. Changes nothing' });
