import type { CommandModule } from 'yargs';
import { useTrace } from '../jobs/locate.ts';
import { Interrupted } from '../model/errors.ts';
import { inspectText, profileJson } from '../report/inspect.ts';
import { traceGrid } from '../report/trace.ts';
import { profileOf } from '../trace/profile.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends OutputArgs {
  trace: string;
  quiet: boolean;
}

/** `inspect TRACE` */
export const inspect: CommandModule<object, Args> = {
  command: 'inspect <trace>',
  describe: 'What is in a trace',
  builder: (y) =>
    traceArgument(y)
      .options(OUTPUT_OPTIONS)
      .example('$0 inspect sqlite', 'footprint, reuse distances, changes, lifetimes, what was inferred')
      .example('$0 inspect sqlite --format json', 'the same for scripts') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async ({ path, name, sha256, meta }) => {
      const progress = startProgress(`inspecting ${name}`, args.quiet, 'records');
      const onChunk = (records: number): void => {
        progress.update(records / meta.counts.records, meta.counts.records);
        if (interrupted.aborted) throw new Interrupted('interrupted');
      };
      const profile = await useTrace(path, (trace) => profileOf(trace, onChunk)).finally(() => progress.end());
      const label = { file: name, sha256 };
      const text = inspectText(label, meta, profile);
      await print({ json: { ...label, ...meta, ...profileJson(profile) }, grid: traceGrid(label, meta), text }, args);
    }),
};
