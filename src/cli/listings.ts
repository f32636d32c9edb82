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
