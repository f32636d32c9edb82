import { Interrupted } from '../model/errors.ts';
import { FORMATS, type Format, type Grid, renderGrid } from '../report/grid.ts';
import { renderJson } from '../report/json.ts';
import { openOutput } from '../trace/output.ts';
import { interrupted } from './interrupt.ts';

/** Options of every command that prints rows. */
export const OUTPUT_OPTIONS = {
  format: { choices: FORMATS, default: 'table' as Format, describe: 'How to print the result' },
  output: { alias: 'o', type: 'string', describe: 'Write the result to a file, whole or not at all' },
} as const;

export interface OutputArgs {
  readonly format: Format;
  readonly output?: string | undefined;
}

/** A result in both forms: rows to print, and the JSON object. */
export interface Printable {
  readonly json: unknown;
  readonly grid: Grid;
  /** Lines above and below the table form. */
  readonly above?: string;
  readonly below?: string;
}

/** Prints a result as the user asked, on stdout or into a file. */
export async function print(result: Printable, args: OutputArgs): Promise<void> {
  await emit(render(result, args.format), args.output);
}

function render({ json, grid, above = '', below = '' }: Printable, format: Format): string {
  if (format === 'json') return renderJson(json);
  return format === 'table' ? above + renderGrid(grid, format) + below : renderGrid(grid, format);
}

/** Lets signals and closed pipes through between two pieces of a long result. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  if (interrupted.aborted) throw new Interrupted('interrupted');
}

/** Text to stdout, waiting where the reader is slow, or to a file that appears whole. */
export async function emit(text: string | Iterable<string>, path?: string): Promise<void> {
  const pieces = typeof text === 'string' ? [text] : text;
  if (path === undefined) {
    for (const piece of pieces) {
      if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve));
      await turn();
    }
    return;
  }
  const file = openOutput(path);
  try {
    const encoder = new TextEncoder();
    for (const piece of pieces) {
      file.write(encoder.encode(piece));
      await turn();
    }
    file.commit();
  } finally {
    file.discard();
  }
}
