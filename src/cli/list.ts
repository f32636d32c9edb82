import type { CommandModule } from 'yargs';
import { shippedTraces } from '../jobs/locate.ts';
import type { Grid } from '../report/grid.ts';
import { IMPORTERS } from '../trace/import/index.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';

/** What can be listed, and how. */
const LISTS: Record<string, () => Grid> = {
  formats: () => ({ columns: ['format', 'what', 'source'], rows: IMPORTERS.map((i) => [i.name, i.summary, i.source]) }),
  traces: () => ({ columns: ['trace'], rows: shippedTraces().map((name) => [name]) }),
};

interface Args extends OutputArgs {
  what: string;
}

export const list: CommandModule<object, Args> = {
  command: 'list <what>',
  describe: 'What there is, each with its source',
  builder: (y) =>
    y
      .positional('what', { choices: Object.keys(LISTS), demandOption: true, describe: 'Kind of thing' })
      .options(OUTPUT_OPTIONS)
      .example('$0 list formats', 'what `import` reads')
      .example('$0 list traces', 'what is shipped') as never,
  handler: async (args) => {
    const grid = LISTS[args.what]!();
    const json = grid.rows.map((row) => Object.fromEntries(row.map((cell, i) => [grid.columns[i]!, cell])));
    await print({ json, grid }, args);
  },
};
