import type { CommandModule } from 'yargs';
import { importFile } from '../jobs/import.ts';
import { UsageError } from '../model/errors.ts';
import { importNote } from '../report/trace.ts';
import { parseMaxRejected } from '../trace/import/importer.ts';
import { IMPORTERS } from '../trace/import/index.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';
import { dash } from './trace-argument.ts';

interface Args {
  input: string;
  output: string;
  as?: string;
  interleave: boolean;
  strict: boolean;
  'max-rejected'?: string;
  quiet: boolean;
}

const value = { type: 'string', requiresArg: true } as const;
const flag = { type: 'boolean', default: false } as const;

/** `import INPUT -o TRACE` */
export const importCommand: CommandModule<object, Args> = {
  command: 'import <input>',
  describe: 'Make a trace from a foreign recording, plain or compressed (gzip, zstd, xz, bzip2, zip)',
  builder: (y) =>
    y
      .positional('input', {
        type: 'string',
        demandOption: true,
        coerce: dash,
        describe: 'A file, a folder, or - for a pipe',
      })
      .option('output', { ...value, alias: 'o', demandOption: true, describe: 'Trace file to write' })
      .option('as', { requiresArg: true, choices: IMPORTERS.map(({ name }) => name), describe: 'Format, if unclear' })
      .option('interleave', { ...flag, describe: 'Every access a record: larger, exact for unified first levels' })
      .option('strict', { ...flag, describe: 'Fail at the first line not understood' })
      .option('max-rejected', { ...value, describe: 'Fail if more lines than that are not understood [default: 1%]' })
      .example('$0 import app.lk.zst -o app.trace', 'a valgrind lackey recording')
      .example('$0 import app.txt -o app.trace', 'the text form back to a trace') as never,
  handler: async ({ input, output, as, strict, interleave, quiet, ...args }) => {
    if (output === '-') throw new UsageError('a trace is binary and is written to a file, not to -');
    const maxRejected = parseMaxRejected(args['max-rejected']);
    const progress = startProgress(`importing ${input}`, quiet);
    const importer = IMPORTERS.find((candidate) => candidate.name === as);
    const notes: string[] = [];
    const onRejected = (place: string, shown: string, expected: string): void => {
      notes.push(`${place}: left out, ${shown} is not ${expected}\n`);
    };
    const reading = { onProgress: progress.update, signal: interrupted, stdin: process.stdin };
    const imported = importFile(input, output, { strict, maxRejected, onRejected, interleave, importer }, reading);
    const meta = await imported.finally(() => progress.end());
    if (!quiet) process.stderr.write(`${notes.join('')}${output}: ${importNote(meta)}\n`);
  },
};
