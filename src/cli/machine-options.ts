import type { Argv } from 'yargs';
import { DMA_DEFAULTS } from '../jobs/compare-dma.ts';
import { DEFAULTS } from '../jobs/compare-space.ts';
import { type ReplayArgs, replayOptions } from './replay-options.ts';

/** Options that `compare` and `run` share. */
export interface MachineArgs extends ReplayArgs {
  policies?: string;
}

const POLICIES = {
  type: 'string',
  requiresArg: true,
  alias: 'policy',
  describe: 'a,b,...: names or YAML files, or all; the first policy is the baseline',
  defaultDescription: `${DEFAULTS.policies.join()}; with DMA mappings ${DMA_DEFAULTS.policies.join()}`,
} as const;

/** Adds the options. */
export const machineOptions = <T>(y: Argv<T>) => replayOptions(y.option('policies', POLICIES));
