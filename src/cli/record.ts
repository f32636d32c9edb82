import type { CommandModule } from 'yargs';
import { recordProgram } from '../jobs/record.ts';
import { UsageError } from '../model/errors.ts';
import { KERNEL_RECIPE } from '../report/recipe.ts';
import { importNote } from '../report/trace.ts';
import { emit } from './emit.ts';
import { interrupted } from './interrupt.ts';

interface Args {
  output?: string;
  kernel: boolean;
  interleave: boolean;
  quiet: boolean;
}

const flag = { type: 'boolean', default: false } as const;

/** `record -o TRACE -- PROGRAM ARGS` */
export const record: CommandModule<object, Args> = {
  command: 'record [program..]',
  describe: 'Make a trace of a program of your own, with valgrind; its output and exit code are passed through',
  builder: (y) =>
    y
      .positional('program', { type: 'string', array: true, describe: 'The program and its arguments, behind --' })
      .option('output', { alias: 'o', type: 'string', requiresArg: true, describe: 'Trace file to write' })
      .option('kernel', { ...flag, describe: 'Print commands that record a kernel, and run nothing' })
      .option('interleave', { ...flag, describe: 'Every access a record: larger, exact for unified first levels' })
      .example('$0 record -o ls.trace -- ls -l', 'every access that ls makes')
      .example('$0 record --kernel', 'how to record the DMA API of a running kernel') as never,
  handler: async ({ output, kernel, interleave, quiet }) => {
    if (kernel) return emit(KERNEL_RECIPE, output);
    // As they stand: yargs would make a number of an argument `007`.
    const dashes = process.argv.indexOf('--');
    const program = dashes < 0 ? [] : process.argv.slice(dashes + 1);
    if (program.length === 0) throw new UsageError('record needs a program: record -o TRACE -- PROGRAM ARGS');
    if (output === undefined || output === '-') throw new UsageError('record needs a file to write: -o TRACE');
    const { meta, code } = await recordProgram(program, output, interleave, interrupted);
    if (!quiet) process.stderr.write(`${output}: ${importNote(meta)}\n`);
    process.exitCode = code;
  },
};
