import type { CommandModule } from 'yargs';
import { CATALOG_KINDS, type CatalogKind, catalogYaml, describe, listCatalog } from '../catalog/catalog.ts';
import { shippedTraces } from '../jobs/locate.ts';
import { countInvalidations } from '../jobs/probe.ts';
import { UsageError } from '../model/errors.ts';
import { parseNames } from '../model/run.ts';
import { catalogGrid, countsGrid } from '../report/catalog.ts';
import type { Grid } from '../report/grid.ts';
import { IMPORTERS } from '../trace/import/index.ts';
import { emit } from './emit.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';

interface Args extends OutputArgs {
  what: string;
  name?: string;
  yaml: boolean;
  counts?: boolean;
  policies?: string;
  machine?: string;
}

const KINDS = [...CATALOG_KINDS, 'formats', 'traces'] as const;

const WITH_COUNTS = { type: 'string', requiresArg: true, implies: 'counts' } as const;
const COUNTS_OPTIONS = {
  counts: { type: 'boolean', describe: 'paths: secondary invalidations per page, of each path run under each policy' },
  policies: { ...WITH_COUNTS, describe: 'With --counts: a,b,...: names or YAML files, or all' },
  machine: { ...WITH_COUNTS, defaultDescription: 'amd-v2', describe: 'With --counts: one name or YAML file' },
} as const;

export const list: CommandModule<object, Args> = {
  command: 'list <what> [name]',
  describe: 'What there is, each with its source; with a name, one of it in full',
  builder: (y) =>
    y
      .positional('what', { choices: KINDS, demandOption: true, describe: 'Kind of thing' })
      .positional('name', { type: 'string', describe: 'A policy, machine, cost or path' })
      .option('yaml', { type: 'boolean', default: false, describe: 'The file itself, to copy and edit' })
      .options(COUNTS_OPTIONS)
      .options(OUTPUT_OPTIONS)
      .example('$0 list policies range-end', 'the steps of every path')
      .example('$0 list machines amd-v2 --yaml', 'a file to copy and edit')
      .example('$0 list paths --counts --policies all', 'invalidations of every path and policy') as never,
  handler: async ({ what, name, yaml, counts, policies, machine, ...args }) => {
    const kind = CATALOG_KINDS.find((known) => known === what);
    if (kind === undefined && (yaml || name !== undefined)) {
      throw new UsageError(`list ${what} takes no name and no --yaml; ${CATALOG_KINDS.join(', ')} do`);
    }
    if (counts === true && (what !== 'paths' || yaml || name !== undefined))
      throw new UsageError('--counts goes with `list paths`, and with no name and no --yaml');
    if (kind !== undefined && yaml) return emit(catalogYaml(kind, name), args.output);
    const counted = () => countsGrid(countInvalidations(parseNames(policies, '--policies'), machine));
    const grid = counts === true ? counted() : kind === undefined ? other(what) : catalog(kind, name);
    const json = grid.rows.map((row) => Object.fromEntries(row.map((cell, i) => [grid.columns[i]!, cell])));
    return print({ json, grid }, args);
  },
};

function catalog(kind: CatalogKind, name: string | undefined): Grid {
  return name === undefined ? catalogGrid(listCatalog(kind)) : describe(kind, name);
}

function other(what: string): Grid {
  if (what === 'traces') return { columns: ['trace'], rows: shippedTraces().map((name) => [name]) };
  return { columns: ['format', 'what', 'source'], rows: IMPORTERS.map((i) => [i.name, i.summary, i.source]) };
}
