import type { CommandModule } from 'yargs';
import { traceGrid } from '../report/trace.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends OutputArgs {
  trace: string;
  quiet: boolean;
}

export const inspect: CommandModule<object, Args> = {
  command: 'inspect <trace>',
  describe: 'What is in a trace',
  builder: (y) =>
    traceArgument(y)
      .options(OUTPUT_OPTIONS)
      .example('$0 inspect sqlite', 'agents, counts, what was inferred')
      .example('$0 inspect sqlite --format json', 'the same for scripts') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async ({ name, sha256, meta }) => {
      const label = { file: name, sha256 };
      await print({ json: { ...label, ...meta }, grid: traceGrid(label, meta) }, args);
    }),
};
