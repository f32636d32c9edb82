import type { CommandModule } from 'yargs';
import { UsageError } from '../model/errors.ts';
import { outcomeText } from '../report/sweep.ts';
import { emit } from './emit.ts';
import { EXIT } from './errors.ts';
import { estimate, submit } from './sweep-estimate.ts';
import { gather } from './sweep-gather.ts';
import { runShard, type SweepArgs, sweepArgument, WORKERS, withSweep } from './sweep-options.ts';
import { show } from './sweep-show.ts';

interface Args extends SweepArgs {
  dryRun: boolean;
  executor: 'local' | 'slurm';
  shards?: string;
}

const TEXT = { type: 'string', requiresArg: true } as const;
const DRY = 'Only say what there is to do, and how long it takes';
const EXECUTOR = { choices: ['local', 'slurm'], default: 'local', describe: 'Who runs it' } as const;
const SHARDS = { ...TEXT, defaultDescription: 'a minute of work each', describe: 'Tasks of the array job of Slurm' };

const run: CommandModule<object, Args> = {
  command: '$0 <file>',
  describe: 'Runs what is missing of a grid of runs',
  builder: (y) =>
    sweepArgument(y)
      .option('dry-run', { type: 'boolean', default: false, describe: DRY })
      .option('workers', WORKERS)
      .option('executor', EXECUTOR)
      .option('shards', SHARDS)
      .example('$0 sweep grid.yaml', 'every combination, each once; again: only what is missing')
      .example('$0 sweep show grid.yaml --rows machine.iommu.iotlb', 'the results as a table') as never,
  handler: (args) =>
    withSweep(args, async (sweep, store) => {
      if (args.dryRun) return emit(await estimate(sweep, store));
      if (args.executor === 'slurm') return emit(await submit(sweep, store, args));
      store.open();
      store.clean();
      const outcome = await runShard(sweep, store, { i: 0, n: 1 }, args);
      await emit(outcomeText(sweep.spec.name, store.folder, outcome, store.failures()));
      if (outcome.failed > 0) process.exitCode = EXIT.gate;
    }),
};

export const sweep: CommandModule = {
  command: 'sweep',
  describe: 'A grid of runs: traces x policies x machines x settings, resumable',
  builder: (y) => y.command([run, show, gather] as never),
  handler: () => {
    throw new UsageError('expected the file of a sweep');
  },
};
