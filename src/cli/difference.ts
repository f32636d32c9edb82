import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { type Difference, differencesOf } from '../jobs/difference.ts';
import { UsageError } from '../model/errors.ts';
import { MODEL } from '../model/result.ts';
import { differenceGrid, differenceJson, differenceText } from '../report/difference.ts';
import { type TracesArgs, tracesOf, WORKING_SET } from './difference-traces.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { type ReplayArgs, replayOptions } from './replay-options.ts';
import { requestOf, withProgress } from './run-comparison.ts';

interface Args extends OutputArgs, ReplayArgs, TracesArgs {
  first: string;
  second: string;
}

const POLICY = { type: 'string', demandOption: true } as const;
const TRACES = { type: 'string', array: true, defaultDescription: 'the shipped traces they are for' } as const;

export const difference: CommandModule<object, Args> = {
  command: 'difference <first> <second> [traces..]',
  describe: 'What one policy costs more than another, and over the range of what invalidations cost',
  builder: (y) =>
    replayOptions(
      y
        .positional('first', { ...POLICY, describe: 'A policy: a name or a YAML file' })
        .positional('second', { ...POLICY, describe: 'The policy it is held against' })
        .positional('traces', { ...TRACES, describe: 'Traces, as `compare` takes them' }),
    )
      .option('working-set', WORKING_SET)
      .options(OUTPUT_OPTIONS)
      .example('$0 difference linux-4.14 under-lock sqlite', 'the price of the double invalidation of 4.14')
      .example('$0 difference lazy strict --working-set 16,64', 'what a flush of the domain costs') as never,
  handler: async ({ first, second, ...args }) => {
    if (first === second) throw new UsageError(`${first} twice, expected two policies`);
    const request = requestOf(args);
    const rows: Difference[] = [];
    for (const open of await tracesOf(args, first, args.quiet)) {
      const trace = await open();
      const work = withProgress(trace, args, (options) => differencesOf(trace, [first, second], request, options));
      rows.push(...(await work.finally(() => trace.close())));
    }
    const view = { rows, policies: [first, second] as const, model: MODEL, version };
    await print({ json: differenceJson(view), grid: differenceGrid(view), text: differenceText(view) }, args);
  },
};
