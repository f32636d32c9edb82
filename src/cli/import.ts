import type { CommandModule } from 'yargs';
import { importFile } from '../jobs/locate.ts';
import { UsageError } from '../model/errors.ts';
import { importNote } from '../report/trace.ts';
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

const value = { type: 'string', requiresArg: true } as const;
const flag = { type: 'boolean', default: false } as const;
const names = IMPORTERS.map((importer) => importer.name);

/** `import INPUT -o TRACE` */
export const importCommand: CommandModule<object, Args> = {
  command: 'import <input>',
  describe: 'Make a trace from a foreign recording; plain, gzip or zstd',
  builder: (y) =>
    y
      .positional('input', { type: 'string', demandOption: true, describe: 'The recording' })
      .option('output', { ...value, alias: 'o', demandOption: true, describe: 'Trace file to write' })
      .option('as', { requiresArg: true, choices: names, describe: 'Format, where content does not tell' })
      .option('interleave', { ...flag, describe: 'Every access a record: larger, exact for unified first levels' })
      .option('strict', { ...flag, describe: 'Fail at the first line not understood, not above 1 %' })
      .example('$0 import app.lk.zst -o app.trace', 'a valgrind lackey recording')
      .example('$0 import app.txt -o app.trace', 'the text form back to a trace') as never,
  handler: async ({ input, output, as, strict, interleave, quiet }) => {
    if (output === '-') throw new UsageError('a trace is binary and is written to a file, not to -');
    const progress = startProgress(`importing ${input}`, quiet);
    const importer = IMPORTERS.find((candidate) => candidate.name === as);
    const onRead = (done: number, size: number): void => progress.update(done / size);
    const reading = { onRead, signal: interrupted };
    const imported = importFile(input, output, { strict, interleave, importer }, reading);
    const meta = await imported.finally(() => progress.end());
    if (!quiet) process.stderr.write(`${output}: ${importNote(meta)}\n`);
  },
};
