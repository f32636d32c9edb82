import { basename } from 'node:path';
import type { CommandModule } from 'yargs';
import { UsageError } from '../model/errors.ts';
import { axesOf, parseWhere } from '../model/sweep.ts';
import { frontGrid, pivotGrid } from '../report/sweep.ts';
import { front, pivot, rowsOf } from '../sweep/table.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { type SweepArgs, sweepArgument, withSweep } from './sweep-options.ts';

interface Args extends SweepArgs, OutputArgs {
  rows?: string;
  columns: string;
  metric: string;
  where: string[];
  pareto: boolean;
}

const TEXT = { type: 'string', requiresArg: true } as const;

export const show: CommandModule<object, Args> = {
  command: 'show <file>',
  describe: 'Results of a sweep as a table',
  builder: (y) =>
    sweepArgument(y)
      .option('rows', { ...TEXT, defaultDescription: 'the first key of set', describe: 'Axis of the rows' })
      .option('columns', { ...TEXT, default: 'policy', describe: 'Axis of the columns' })
      .option('metric', { ...TEXT, default: 'cost.added_per_page_ns', describe: 'Key of the JSON of run' })
      .option('where', { ...TEXT, array: true, nargs: 1, default: [], describe: 'AXIS=VALUE: only such runs' })
      .option('pareto', { type: 'boolean', default: false, describe: 'Runs that none beats in cost and exposure' })
      .options(OUTPUT_OPTIONS)
      .example('$0 sweep show grid.yaml', 'what a page costs, by the first key of set and by policy')
      .example('$0 sweep show grid.yaml --pareto', 'which of them to choose from') as never,
  handler: (args) =>
    withSweep(args, async (sweep, store) => {
      const { rows, missing } = rowsOf(sweep, store);
      if (rows.length === 0) throw new UsageError(`${store.folder}: has no result of ${args.file}`);
      if (missing > 0 && !args.quiet)
        process.stderr.write(`${missing} of ${sweep.jobs.length} runs are not there yet\n`);
      const place = basename(args.file);
      const axes = [...axesOf(sweep.spec, place).keys()];
      if (args.pareto) return print({ json: front(rows), grid: frontGrid(axes, front(rows)) }, args);
      const first = Object.keys(sweep.spec.set ?? {})[0] ?? 'trace';
      const table = pivot(sweep.spec, place, rows, {
        ...args,
        rows: args.rows ?? first,
        where: parseWhere(args.where),
      });
      return print({ json: table, grid: pivotGrid(table) }, args);
    }),
};
