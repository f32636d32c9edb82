import type { Argv } from 'yargs';
import { DMA_DEFAULTS } from '../jobs/compare-dma.ts';
import { DEFAULTS } from '../jobs/compare-space.ts';
import { REUSES, type Reuse } from '../model/dma.ts';

/** Options that say how a trace is replayed, as yargs gives them. */
export interface ReplayArgs {
  machines?: string;
  seed: string;
  workers?: string;
  memory?: string;
  device?: string;
  cpus?: string;
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
const MACHINES = `${DEFAULTS.machines.join()}; with DMA mappings ${DMA_DEFAULTS.machines.join()}`;
const MEMORY = { ...TEXT, describe: 'Share of the footprint, a size, none' } as const;
const REUSE = { choices: REUSES, requiresArg: true, describe: 'DMA: whose a frame is after its unmap' } as const;

/** Adds the options. What is not given follows the trace, so that yargs has no defaults of these. */
export const replayOptions = <T>(y: Argv<T>) =>
  y
    .option('machines', {
      ...TEXT,
      alias: 'machine',
      describe: 'a,b,...: names or YAML files, or all',
      defaultDescription: MACHINES,
    })
    .option('memory', { ...MEMORY, defaultDescription: DEFAULTS.memory })
    .option('device', { ...TEXT, defaultDescription: DEFAULTS.device, describe: FOLLOW })
    .option('cpus', { ...TEXT, describe: 'CPUs that run the program side by side, by turns' })
    .option('reuse', REUSE)
    .option('time-scale', { ...TEXT, describe: 'DMA: factor of the recorded think time' })
    .option('time', { choices: ['packed'] as const, requiresArg: true, describe: 'DMA: no think time at all' })
    .option('seed', { ...TEXT, default: '1', describe: 'Seed of every random choice' })
    .option('costs', { ...TEXT, describe: 'YAML file of costs that replace the default ones' })
    .option('set', { ...TEXT, array: true, nargs: 1, describe: 'machine.KEY=VALUE or cost.KEY=VALUE' })
    .option('workers', { ...TEXT, describe: 'Worker threads; all cores if not given. Changes no number' })
    .option('lookahead', { ...TEXT, describe: 'ns that TLB hits may run ahead. Changes no number' });
