import type { CommandModule } from 'yargs';
import { parseShard } from '../model/sweep.ts';
import { outcomeText } from '../report/sweep.ts';
import { emit } from './emit.ts';
import { EXIT } from './errors.ts';
import { runShard, type SweepArgs, sweepArgument, WORKERS, withSweep } from './sweep-options.ts';

interface Args extends SweepArgs {
  shard: string;
}

export const worker: CommandModule<object, Args> = {
  command: 'worker <file>',
  describe: 'One part of a sweep, for schedulers: several may work in one folder, on one host or many',
  builder: (y) =>
    sweepArgument(y)
      .option('shard', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'I/N: part I of N, from 1 on',
      })
      .option('workers', WORKERS)
      .example('$0 worker grid.yaml --shard 3/8', 'what is missing of part 3')
      .example('$0 worker grid.yaml --shard 1/2 --folder shared', 'into a folder that several hosts see') as never,
  handler: (args) =>
    withSweep(args, async (sweep, store) => {
      const outcome = await runShard(sweep, store, parseShard(args.shard), args);
      await emit(outcomeText(sweep.spec.name, store.folder, outcome, store.failures()));
      if (outcome.failed > 0) process.exitCode = EXIT.gate;
    }),
};
