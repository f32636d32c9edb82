import type { Argv } from 'yargs';
import { DEFAULTS } from '../jobs/compare.ts';
import { DMA_DEFAULTS } from '../jobs/compare-dma.ts';
import { REUSES, type Reuse } from '../model/dma.ts';

/** Options that `compare` and `run` share, as yargs gives them. */
export interface MachineArgs {
  policies?: string;
  machines?: string;
  seed: string;
  workers?: string;
  memory?: string;
  device?: string;
  reuse?: Reuse;
  timeScale?: string;
  time?: 'packed';
  costs?: string;
  set?: string[];
  lookahead?: string;
  quiet: boolean;
}

const TEXT = { type: 'string', requiresArg: true } as const;
const FOLLOW = 'follow[,every=200][,write=30%][,active=5ms][,idle=5ms][,ats=on|off], or none';
const POLICIES = `${DEFAULTS.policies.join()}; with DMA mappings ${DMA_DEFAULTS.policies.join()}`;
const MACHINES = `${DEFAULTS.machines.join()}; with DMA mappings ${DMA_DEFAULTS.machines.join()}`;
const NAMES = { ...TEXT, describe: 'a,b,...: names or YAML files, or all; the first policy is the baseline' } as const;
const MEMORY = {
  ...TEXT,
  defaultDescription: DEFAULTS.memory,
  describe: 'Share of the footprint, a size, none',
} as const;
const REUSE = { choices: REUSES, requiresArg: true, describe: 'DMA: whose a frame is after its unmap' } as const;

/** Adds the options. What is not given follows the trace, so that yargs has no defaults of these. */
export const machineOptions = <T>(y: Argv<T>) =>
  y
    .option('policies', { ...NAMES, alias: 'policy', defaultDescription: POLICIES })
    .option('machines', { ...NAMES, alias: 'machine', defaultDescription: MACHINES })
    .option('memory', MEMORY)
    .option('device', { ...TEXT, defaultDescription: DEFAULTS.device, describe: FOLLOW })
    .option('reuse', REUSE)
    .option('time-scale', { ...TEXT, describe: 'DMA: factor of the recorded think time' })
    .option('time', { choices: ['packed'] as const, requiresArg: true, describe: 'DMA: no think time at all' })
    .option('seed', { ...TEXT, default: '1', describe: 'Seed of every random choice' })
    .option('costs', { ...TEXT, describe: 'YAML file of costs that replace the default ones' })
    .option('set', { ...TEXT, array: true, nargs: 1, describe: 'machine.KEY=VALUE or cost.KEY=VALUE' })
    .option('workers', { ...TEXT, describe: 'Worker threads; all cores if not given. Changes no number' })
    .option('lookahead', { ...TEXT, describe: 'ns that TLB hits may run ahead. Changes no number' });
