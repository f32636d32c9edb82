import type { CommandModule } from 'yargs';
import { importFile } from '../jobs/import.ts';
import { mergeFiles } from '../jobs/merge.ts';
import { UsageError } from '../model/errors.ts';
import { importNote } from '../report/trace.ts';
import { parseMaxRejected } from '../trace/import/importer.ts';
import { IMPORTERS } from '../trace/import/index.ts';
import { type ImportArgs, importOptions, mergedOf } from './import-options.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';

/** `import INPUT -o TRACE` */
export const importCommand: CommandModule<object, ImportArgs> = {
  command: 'import <input>',
  describe: 'Make a trace from a foreign recording, plain or compressed (gzip, zstd, xz, bzip2, zip)',
  builder: (y) =>
    importOptions(y)
      .example('$0 import app.lk.zst -o app.trace', 'a valgrind lackey recording')
      .example('$0 import app.lk --merge app.trace -o two.trace', 'two programs, each with its agents') as never,
  handler: async (args) => {
    const { input, output, as, strict, interleave, quiet } = args;
    if (output === '-') throw new UsageError('a trace is binary and is written to a file, not to -');
    const merged = mergedOf(args);
    const maxRejected = parseMaxRejected(args.maxRejected);
    const progress = startProgress(`importing ${input}`, quiet, 'B');
    const importer = IMPORTERS.find((candidate) => candidate.name === as);
    const notes: string[] = [];
    const onRejected = (place: string, shown: string, expected: string): void => {
      notes.push(`${place}: left out, ${shown} is not ${expected}\n`);
    };
    const reading = { onProgress: progress.update, signal: interrupted, stdin: process.stdin };
    const request = { strict, maxRejected, onRejected, interleave, importer };
    const imported = merged
      ? mergeFiles(merged, output, interleave, reading)
      : importFile(input, output, request, reading);
    const meta = await imported.finally(() => progress.end());
    if (!quiet) process.stderr.write(`${notes.join('')}${output}: ${importNote(meta)}\n`);
  },
};
