import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listRaces } from '../catalog/races.ts';
import { shippedTraces } from '../jobs/locate.ts';
import { hazardGrid } from '../report/catalog.ts';
import type { Grid } from '../report/grid.ts';
import { sizesGrid, workloadsGrid } from '../report/workload.ts';
import { WORKLOADS, workloadNamed } from '../trace/generate/index.ts';
import { IMPORTERS } from '../trace/import/index.ts';

/** What there is besides the catalog, by what `list` is asked. */
export const LISTINGS = {
  formats: () => ({
    columns: ['format', 'what', 'source'],
    rows: IMPORTERS.map((importer) => [importer.name, importer.summary, importer.source]),
  }),
  hazards: () => hazardGrid(),
  workloads: (name) => (name === undefined ? workloadsGrid(WORKLOADS) : sizesGrid(workloadNamed(name))),
  races: () => ({ columns: ['race', 'never', 'source'], rows: listRaces() }),
  traces: () => ({ columns: ['trace'], rows: shippedTraces().map((name) => [name]) }),
} as const satisfies Readonly<Record<string, (name?: string) => Grid>>;

/** Those of one of which there is more to say. */
const NAMED = ['workloads'];

/** Whether `list WHAT NAME` has a meaning. */
export function takesName(what: string): boolean {
  return NAMED.includes(what);
}

const CATALOG = fileURLToPath(new URL('../../src/catalog/', import.meta.url));

/** A file of the catalog to copy: its comment for editors leads to the schema from the folder that the copy goes to. */
export function linked(text: string, output = '-'): string {
  const folder = output === '-' ? '.' : dirname(output);
  return text.replace(/\$schema=(?:\.\.\/)?(schema\/[\w.]+)/, (_, path: string) => {
    return `$schema=${relative(folder, join(CATALOG, path)).replaceAll('\\', '/')}`;
  });
}
