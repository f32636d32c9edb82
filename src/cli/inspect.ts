import type { CommandModule } from 'yargs';
import { profileTrace } from '../jobs/profile.ts';
import { inspectText, profileJson } from '../report/inspect.ts';
import { traceGrid } from '../report/trace.ts';
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
    withTrace(args.trace, args.quiet, async (trace) => {
      const { name, sha256, meta } = trace;
      const { update, end } = startProgress(`inspecting ${name}`, args.quiet, 'records');
      const onProgress = (done: number): void => update(done, meta.counts.records);
      const profile = await profileTrace(trace, { signal: interrupted, onProgress }).finally(end);
      const label = { file: name, sha256 };
      const text = inspectText(label, meta, profile);
      await print({ json: { ...label, ...meta, ...profileJson(profile) }, grid: traceGrid(label, meta), text }, args);
    }),
};
