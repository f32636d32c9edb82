import type { Argv } from 'yargs';
import { UsageError } from '../model/errors.ts';
import { IMPORTERS } from '../trace/import/index.ts';
import { dash } from './trace-argument.ts';

/** Arguments of `import`. */
export interface ImportArgs {
  input: string;
  output: string;
  as?: string;
  merge?: string;
  interleave: boolean;
  strict: boolean;
  maxRejected?: string;
  quiet: boolean;
}

const value = { type: 'string', requiresArg: true } as const;
const flag = { type: 'boolean', default: false } as const;

/** Options of `import`. */
export function importOptions<T>(y: Argv<T>) {
  return y
    .positional('input', {
      type: 'string',
      demandOption: true,
      coerce: dash,
      describe: 'A file, a folder, or - for a pipe',
    })
    .option('output', { ...value, alias: 'o', demandOption: true, describe: 'Trace file to write' })
    .option('as', { requiresArg: true, choices: IMPORTERS.map(({ name }) => name), describe: 'Format, if unclear' })
    .option('merge', { ...value, describe: 'Traces or recordings to put beside it, with commas: agents of one trace' })
    .option('interleave', { ...flag, describe: 'Every access a record: larger, exact for unified first levels' })
    .option('strict', { ...flag, describe: 'Fail at the first line not understood' })
    .option('max-rejected', { ...value, describe: 'Fail if more lines than that are not understood [default: 1%]' });
}

/** What is to be merged: the input and those that `--merge` names; nothing without it. */
export function mergedOf({ input, merge, as, strict, maxRejected }: ImportArgs): string[] | undefined {
  if (merge === undefined) return undefined;
  if (as !== undefined || strict || maxRejected !== undefined)
    throw new UsageError('--merge takes no --as, --strict or --max-rejected: import such a recording by itself first');
  const others = merge.split(',');
  if (others.includes('')) throw new UsageError(`--merge is "${merge}", expected names with commas between`);
  return [input, ...others];
}
