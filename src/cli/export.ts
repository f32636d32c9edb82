import type { CommandModule } from 'yargs';
import { useTrace } from '../jobs/locate.ts';
import { textOf } from '../trace/text.ts';
import { emit } from './emit.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args {
  trace: string;
  output?: string;
  quiet: boolean;
}

export const exportCommand: CommandModule<object, Args> = {
  command: 'export <trace>',
  describe: 'Print a trace in its text form, lossless',
  builder: (y) =>
    traceArgument(y)
      .option('output', {
        alias: 'o',
        type: 'string',
        requiresArg: true,
        describe: 'Write to a file, whole or not at all',
      })
      .example('$0 export sqlite -o sqlite.txt', 'text that `import` reads back byte for byte')
      .example('$0 export sqlite | head -40', 'the first records') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, ({ path }) => useTrace(path, (trace) => emit(textOf(trace), args.output))),
};
