import type { Argv } from 'yargs';
import { DEFAULTS } from '../jobs/compare.ts';

/** Options that `compare` and `run` share, as yargs gives them. */
export interface MachineArgs {
  policies: string;
  machines: string;
  seed: string;
  workers?: string;
  memory: string;
  device: string;
  costs?: string;
  set?: string[];
  lookahead?: string;
  quiet: boolean;
}

const TEXT = { type: 'string', requiresArg: true } as const;
const FOLLOW = 'follow[,every=200][,write=30%][,active=5ms][,idle=5ms][,ats=on|off], or none';

/** Adds the options; defaults of policies and machines are the caller's. */
export const machineOptions = <T>(y: Argv<T>, policies: string, machines: string) =>
  y
    .option('policies', {
      ...TEXT,
      alias: 'policy',
      default: policies,
      describe: 'Names or files; the first is the baseline',
    })
    .option('machines', { ...TEXT, alias: 'machine', default: machines, describe: 'Names or files' })
    .option('memory', { ...TEXT, default: '50%', describe: 'Share of the footprint, or a size; none: no limit' })
    .option('device', { ...TEXT, default: DEFAULTS.device as string, describe: FOLLOW })
    .option('seed', { ...TEXT, default: '1', describe: 'Seed of every random choice' })
    .option('costs', { ...TEXT, describe: 'YAML file of costs that replace the default ones' })
    .option('set', { ...TEXT, array: true, nargs: 1, describe: 'machine.KEY=VALUE or cost.KEY=VALUE' })
    .option('workers', { ...TEXT, describe: 'Worker threads; all cores if not given. Changes no number' })
    .option('lookahead', { ...TEXT, describe: 'ns that TLB hits may run ahead. Changes no number' });
