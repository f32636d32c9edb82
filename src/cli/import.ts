import type { CommandModule } from 'yargs';
import { importFile } from '../jobs/locate.ts';
import { UsageError } from '../model/errors.ts';
import { count } from '../report/grid.ts';
import { IMPORTERS } from '../trace/import/index.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';

interface Args {
  input: string;
  output: string;
  as?: string;
  interleave: boolean;
  strict: boolean;
  quiet: boolean;
}

export const importCommand: CommandModule<object, Args> = {
  command: 'import <input>',
  describe: 'Make a trace from a foreign recording; plain, gzip or zstd',
  builder: (y) =>
    y
      .positional('input', {
        type: 'string',
        demandOption: true,
        describe: 'The recording; its format is found by content',
      })
      .option('output', { alias: 'o', type: 'string', demandOption: true, describe: 'Trace file to write' })
      .option('as', {
        choices: IMPORTERS.map((importer) => importer.name),
        describe: 'Format, where content does not tell',
      })
      .option('interleave', {
        type: 'boolean',
        default: false,
        describe: 'Every access a record: larger, exact for unified first levels',
      })
      .option('strict', {
        type: 'boolean',
        default: false,
        describe: 'Fail at the first line not understood, not above 1 %',
      })
      .example('$0 import app.lk.zst -o app.trace', 'a valgrind lackey recording')
      .example('$0 import app.txt -o app.trace', 'the text form back to a trace') as never,
  handler: async (args) => {
    const progress = startProgress(`importing ${args.input}`, args.quiet);
    const importer = IMPORTERS.find((candidate) => candidate.name === args.as);
    if (args.output === '-') throw new UsageError('a trace is binary and is written to a file, not to -');
    const request = { strict: args.strict, interleave: args.interleave, importer };
    const meta = await importFile(args.input, args.output, request, {
      onRead: (done, size) => progress.update(done / size),
      signal: interrupted,
    }).finally(() => progress.end());
    const { tally, counts } = meta;
    const accesses = `${count(counts.fetches + counts.datas + counts.dma)} accesses`;
    const lines = `${count(tally.lines)} lines: ${count(tally.accepted)} accepted, ${count(tally.rejected)} rejected, ${count(tally.ignored)} ignored`;
    if (!args.quiet)
      process.stderr.write(`${args.output}: ${accesses} in ${count(counts.records)} records; ${lines}\n`);
  },
};
