import type { CommandModule } from 'yargs';
import { UsageError } from '../model/errors.ts';
import { ndjson, writeParquet } from '../sweep/gather.ts';
import { rowsOf } from '../sweep/table.ts';
import { emit } from './emit.ts';
import { type SweepArgs, sweepArgument, withSweep } from './sweep-options.ts';

interface Args extends SweepArgs {
  output: string;
  partial: boolean;
}

export const gather: CommandModule<object, Args> = {
  command: 'gather <file>',
  describe: 'All results of a sweep in one file: Parquet or lines of JSON',
  builder: (y) =>
    sweepArgument(y)
      .option('output', {
        alias: 'o',
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'x.parquet, x.ndjson, or - for lines of JSON on stdout',
      })
      .option('partial', { type: 'boolean', default: false, describe: 'Even if results are missing' })
      .example('$0 sweep gather grid.yaml -o grid.parquet', 'for DuckDB, pandas, R')
      .example('$0 sweep gather grid.yaml -o - --partial', 'what there is, a line of JSON each') as never,
  handler: (args) =>
    withSweep(args, (sweep, store) => {
      const { rows, missing } = rowsOf(sweep, store);
      if (missing > 0 && !args.partial)
        throw new UsageError(
          `${store.folder}: ${missing} of ${sweep.jobs.length} results are missing; run the sweep again, or say --partial`,
        );
      if (args.output.endsWith('.parquet')) return writeParquet(rows, args.output);
      if (args.output !== '-' && !args.output.endsWith('.ndjson'))
        throw new UsageError(`--output is "${args.output}", expected a name that ends in .parquet or .ndjson, or -`);
      return emit(ndjson(rows), args.output);
    }),
};
