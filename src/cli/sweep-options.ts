import { basename } from 'node:path';
import type { Argv } from 'yargs';
import { loadSweep } from '../catalog/sweeps.ts';
import { parseWhole } from '../model/run.ts';
import type { Shard } from '../model/sweep.ts';
import { openSweep, type Sweep } from '../sweep/grid.ts';
import { runSweep, type SweepOutcome } from '../sweep/run.ts';
import { Store } from '../sweep/store.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';

/** What every command about a sweep takes. */
export interface SweepArgs {
  file: string;
  folder?: string;
  workers?: string;
  quiet: boolean;
}

const TEXT = { type: 'string', requiresArg: true } as const;

/** Adds the sweep's file and the folder of its results. */
export const sweepArgument = <T>(y: Argv<T>) =>
  y
    .positional('file', { type: 'string', demandOption: true, describe: 'A YAML file: the grid' })
    .option('folder', { ...TEXT, defaultDescription: 'NAME.results', describe: 'Where the results are kept' });

/** Adds how many threads run it. */
export const WORKERS = { ...TEXT, describe: 'Worker threads; all cores if not given. Changes no number' };

/** Opens a sweep and its folder for as long as `use` runs. */
export async function withSweep<T>(
  { file, folder }: Pick<SweepArgs, 'file' | 'folder'>,
  use: (sweep: Sweep, store: Store) => T | Promise<T>,
): Promise<T> {
  const sweep = await openSweep(loadSweep(file), basename(file));
  try {
    return await use(sweep, new Store(folder ?? `${sweep.spec.name}.results`));
  } finally {
    sweep.close();
  }
}

/** Runs what is missing of a shard, with progress. */
export async function runShard(sweep: Sweep, store: Store, shard: Shard, args: SweepArgs): Promise<SweepOutcome> {
  const workers = parseWhole(args.workers, '--workers', 1, 256);
  const progress = startProgress(`sweep ${sweep.spec.name}`, args.quiet);
  const onProgress = (done: number): void => progress.update(done);
  try {
    store.open();
    return await runSweep(sweep, store, shard, { workers, signal: interrupted, onProgress });
  } finally {
    progress.end();
  }
}
