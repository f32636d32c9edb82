import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { recordTimeline } from '../jobs/timeline.ts';
import { LANDMARKS, parseStretch } from '../model/timeline.ts';
import { timelineText } from '../report/timeline/timeline.ts';
import { emit, gzipped } from './emit.ts';
import { type MachineArgs, machineOptions } from './machine-options.ts';
import { onePair } from './run.ts';
import { requestOf, withProgress } from './run-comparison.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends MachineArgs {
  trace: string;
  output: string;
  from?: string;
  to?: string;
  around?: string;
}

const TEXT = { type: 'string', requiresArg: true } as const;
const EVENTS = Object.entries(LANDMARKS).map(([name, words]) => `${name} (${words})`);

export const timeline: CommandModule<object, Args> = {
  command: 'timeline <trace>',
  describe: 'A stretch of one run for ui.perfetto.dev: who did what, who waited, which old copies could be used',
  builder: (y) =>
    machineOptions(traceArgument(y))
      .option('from', { ...TEXT, describe: 'Begin of the stretch, such as 12.5ms of virtual time' })
      .option('to', { ...TEXT, describe: 'Its end' })
      .option('around', { ...TEXT, describe: `Or the stretch around EVENT[:N]: ${EVENTS.join(', ')}` })
      .option('output', { ...TEXT, alias: 'o', demandOption: true, describe: 'File, compressed if it ends in .gz' })
      .example('$0 timeline sqlite --policy range-end --machine amd-v2 -o t.json.gz', 'around the worst that happens')
      .example('$0 timeline sqlite --policy linux-6.6 --from 10ms --to 11ms -o t.json', 'a stretch of one ms') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async (trace) => {
      const request = requestOf(onePair(args, trace.meta));
      const stretch = parseStretch(args);
      const found = await withProgress(trace, args, (options) => recordTimeline(trace, request, stretch, options));
      if (found.why !== '' && !args.quiet) process.stderr.write(`${found.why}\n`);
      const text = timelineText(found, version);
      await emit(args.output.endsWith('.gz') ? gzipped(text) : text, args.output);
    }),
};
