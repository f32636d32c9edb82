import { countInvalidations } from '../jobs/probe.ts';
import { UsageError } from '../model/errors.ts';
import { PATH_NAMES } from '../model/path.ts';
import { parseNames } from '../model/run.ts';
import { countsGrid } from '../report/catalog.ts';
import type { Grid } from '../report/grid.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';

/** Options of `list paths --counts`, as yargs gives them. */
export interface CountsArgs {
  counts?: boolean;
  policies?: string;
  machine?: string;
}

const WITH_COUNTS = { type: 'string', requiresArg: true } as const;

/** The options. */
export const COUNTS_OPTIONS = {
  counts: { type: 'boolean', describe: 'paths: secondary invalidations per page, of each path run under each policy' },
  policies: { ...WITH_COUNTS, describe: 'With --counts: a,b,...: names or YAML files, or all' },
  machine: { ...WITH_COUNTS, defaultDescription: 'amd-v2', describe: 'With --counts: one name or YAML file' },
} as const;

/** What is counted, if that was asked for. `alone`: nothing else was. */
export async function counted(
  { counts, policies, machine, quiet }: CountsArgs & { quiet: boolean },
  alone: boolean,
): Promise<Grid | undefined> {
  if (counts !== true) {
    if (policies === undefined && machine === undefined) return undefined;
    throw new UsageError('--policies and --machine go with `list paths --counts`');
  }
  if (!alone) throw new UsageError('--counts goes with `list paths`, and with no name and no --yaml');
  const { update, end } = startProgress('counting', quiet, 'paths');
  const onProgress = (done: number): void => update(done, PATH_NAMES.length);
  return countsGrid(
    await countInvalidations(parseNames(policies, '--policies'), machine, { signal: interrupted, onProgress }).finally(
      end,
    ),
  );
}
