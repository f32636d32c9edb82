import type { CommandModule } from 'yargs';
import { CATALOG_KINDS, type CatalogKind, catalogYaml, describe, listCatalog } from '../catalog/catalog.ts';
import { UsageError } from '../model/errors.ts';
import { fitting } from '../report/blocks.ts';
import { catalogGrid } from '../report/catalog.ts';
import type { Grid } from '../report/grid.ts';
import { COUNTS_OPTIONS, type CountsArgs, counted } from './counts-options.ts';
import { emit } from './emit.ts';
import { LISTINGS, linked, takesName } from './listings.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print, terminalWidth } from './output.ts';

interface Args extends OutputArgs, CountsArgs {
  what: string;
  name?: string;
  yaml: boolean;
  quiet: boolean;
}

const KINDS = [...CATALOG_KINDS, ...(Object.keys(LISTINGS) as (keyof typeof LISTINGS)[])] as const;

export const list: CommandModule<object, Args> = {
  command: 'list <what> [name]',
  describe: 'What there is, each with its source; with a name, one of it in full',
  builder: (y) =>
    y
      .positional('what', { choices: KINDS, demandOption: true, describe: 'Kind of thing' })
      .positional('name', { type: 'string', describe: 'A policy, machine, CPU, cost, path or workload' })
      .option('yaml', { type: 'boolean', default: false, describe: 'The file itself, to copy and edit' })
      .options(COUNTS_OPTIONS)
      .options(OUTPUT_OPTIONS)
      .example('$0 list policies range-end', 'the steps of every path')
      .example('$0 list machines amd-v2 --yaml', 'a file to copy and edit')
      .example('$0 list paths --counts --policies all', 'invalidations of every path and policy') as never,
  handler: async ({ what, name, yaml, ...args }) => {
    const kind = CATALOG_KINDS.find((known) => known === what);
    if (kind === undefined && (yaml || (name !== undefined && !takesName(what)))) {
      throw new UsageError(`list ${what} takes no name and no --yaml; ${CATALOG_KINDS.join(', ')} do`);
    }
    const table = await counted(args, what === 'paths' && !yaml && name === undefined);
    if (kind !== undefined && yaml) return emit(linked(catalogYaml(kind, name), args.output), args.output);
    const grid = table ?? (kind === undefined ? LISTINGS[what as keyof typeof LISTINGS](name) : catalog(kind, name));
    const json = grid.rows.map((row) => Object.fromEntries(row.map((cell, i) => [grid.columns[i]!, cell])));
    return print({ json, grid, text: fitting(grid, terminalWidth(args)) }, args);
  },
};

function catalog(kind: CatalogKind, name: string | undefined): Grid {
  return name === undefined ? catalogGrid(listCatalog(kind)) : describe(kind, name);
}
