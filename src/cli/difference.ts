import type { CommandModule } from 'yargs';
import { type Difference, differencesOf, tracesFor } from '../jobs/difference.ts';
import { UsageError } from '../model/errors.ts';
import { MODEL } from '../model/result.ts';
import { differenceGrid, differenceJson, differenceText } from '../report/difference.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { type ReplayArgs, replayOptions } from './replay-options.ts';
import { requestOf, withProgress } from './run-comparison.ts';
import { withTrace } from './trace-argument.ts';
import { toolVersion } from './version.ts';

interface Args extends OutputArgs, ReplayArgs {
  first: string;
  second: string;
  traces?: string[];
}

export const difference: CommandModule<object, Args> = {
  command: 'difference <first> <second> [traces..]',
  describe: 'What one policy costs more than another, and over the range of what invalidations cost',
  builder: (y) =>
    replayOptions(
      y
        .positional('first', { type: 'string', demandOption: true, describe: 'A policy: a name or a YAML file' })
        .positional('second', { type: 'string', demandOption: true, describe: 'The policy it is held against' })
        .positional('traces', {
          type: 'string',
          array: true,
          defaultDescription: 'the shipped traces they are for',
          describe: 'Traces, as `compare` takes them',
        }),
    )
      .options(OUTPUT_OPTIONS)
      .example('$0 difference linux-4.14 under-lock sqlite', 'the price of the double invalidation of 4.14')
      .example('$0 difference strict lazy guest.trace --machines intel-vtd', 'what strict DMA unmaps cost') as never,
  handler: async ({ first, second, traces, ...args }) => {
    if (first === second) throw new UsageError(`${first} twice, expected two policies`);
    const request = requestOf(args);
    const rows: Difference[] = [];
    for (const given of traces?.length ? traces : await tracesFor(first)) {
      const more = await withTrace(given, args.quiet, (trace) =>
        withProgress(trace, args, (options) => differencesOf(trace, [first, second], request, options)),
      );
      rows.push(...more);
    }
    const view = { rows, policies: [first, second] as const, model: MODEL, version: toolVersion() };
    await print({ json: differenceJson(view), grid: differenceGrid(view), text: differenceText(view) }, args);
  },
};
