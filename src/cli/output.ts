import { FORMATS, type Format, type Grid, renderGrid } from '../report/grid.ts';
import { renderJson } from '../report/json.ts';
import { emit } from './emit.ts';

/** Options of every command that prints rows. */
export const OUTPUT_OPTIONS = {
  format: { choices: FORMATS, requiresArg: true, default: 'table' as Format, describe: 'How to print the result' },
  output: {
    alias: 'o',
    type: 'string',
    requiresArg: true,
    describe: 'Write the result to a file, whole or not at all',
  },
} as const;

/** What `OUTPUT_OPTIONS` adds to the arguments of a command. */
export interface OutputArgs {
  readonly format: Format;
  readonly output?: string | undefined;
}

/** A result in both forms: rows to print, and the JSON object. */
export interface Printable {
  readonly json: unknown;
  readonly grid: Grid;
  /** What the table form prints instead of the rows. */
  readonly text?: string;
  /** What the Markdown form prints instead of them. */
  readonly markdown?: string;
}

/** Whether colours are wanted: on a terminal, unless it has none or NO_COLOR is set (no-color.org). */
export function isColourful({ output }: OutputArgs): boolean {
  const { NO_COLOR, TERM } = process.env;
  return output === undefined && process.stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb';
}

/** Columns of the terminal that text goes to; undefined where it goes elsewhere. */
export function terminalWidth({ output }: OutputArgs): number | undefined {
  return output === undefined && process.stdout.isTTY === true ? Math.max(60, process.stdout.columns) : undefined;
}

/** Prints a result as the user asked, on stdout or into a file. */
export async function print(result: Printable, args: OutputArgs): Promise<void> {
  await emit(render(result, args.format), args.output);
}

function render({ json, grid, text, markdown }: Printable, format: Format): string {
  if (format === 'json') return renderJson(json);
  const instead = format === 'table' ? text : format === 'md' ? markdown : undefined;
  return instead ?? renderGrid(grid, format);
}
