import type { CommandModule } from 'yargs';
import { useTrace } from '../jobs/locate.ts';
import { LeftOut } from '../trace/export/exporter.ts';
import { EXPORTERS } from '../trace/export/index.ts';
import { type Trace, watchedTrace } from '../trace/reader.ts';
import { emit } from './emit.ts';
import { startProgress } from './progress.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args {
  trace: string;
  as: string;
  output?: string;
  quiet: boolean;
}

/** `export TRACE` */
export const exportCommand: CommandModule<object, Args> = {
  command: 'export <trace>',
  describe: 'Print a trace in its text form, lossless, or in a format of others',
  builder: (y) =>
    traceArgument(y)
      .option('as', {
        requiresArg: true,
        choices: EXPORTERS.map(({ name }) => name),
        default: 'text',
        describe: 'Format; what it has no place for is left out and counted',
      })
      .option('output', {
        alias: 'o',
        type: 'string',
        requiresArg: true,
        describe: 'Write to a file, whole or not at all',
      })
      .example('$0 export sqlite -o sqlite.txt', 'text that `import` reads back byte for byte')
      .example('$0 export sqlite --as champsim | head -c 640', 'ten instructions for ChampSim') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async ({ path, name, meta }) => {
      const exporter = EXPORTERS.find(({ name }) => name === args.as)!;
      const left = new LeftOut();
      // On a terminal the text itself shows how far it is.
      const quiet = args.quiet || (args.output === undefined && process.stdout.isTTY);
      const { update, end } = startProgress(`exporting ${name}`, quiet, 'records');
      const { records } = meta.counts;
      const watched = (trace: Trace): Trace => watchedTrace(trace, (done) => update(done / records, records));
      await useTrace(path, (trace) => emit(exporter.write(watched(trace), left), args.output)).finally(end);
      if (args.quiet) return;
      for (const sentence of left.sentences()) process.stderr.write(`left out, ${args.as} has no place: ${sentence}\n`);
    }),
};
