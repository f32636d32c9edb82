import { basename } from 'node:path';
import type { CommandModule } from 'yargs';
import { loadExperiment } from '../catalog/experiments.ts';
import { experimentGrid, experimentText } from '../report/experiment.ts';
import { renderGrid } from '../report/grid.ts';
import { verifyExperiment } from '../verify/experiment.ts';
import { EXIT } from './errors.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';

interface Args extends OutputArgs {
  files: string[];
  quiet: boolean;
}

export const table: CommandModule<object, Args> = {
  command: 'table <files..>',
  describe: 'Measurements that others published, run again: expected beside got',
  builder: (y) =>
    y
      .positional('files', { type: 'string', array: true, demandOption: true, describe: 'YAML files of experiments' })
      .options(OUTPUT_OPTIONS)
      .example('$0 verify table traces/experiments/*.yaml', 'all that are shipped')
      .example('$0 verify table traces/experiments/queue.yaml --format md', 'one of them, for mail') as never,
  handler: async ({ files, quiet, ...output }) => {
    const loaded = files.map((file) => [loadExperiment(file), basename(file)] as const);
    const progress = startProgress('experiments', quiet, 'experiments');
    const results = [];
    try {
      for (const [i, [experiment, place]] of loaded.entries()) {
        results.push(await verifyExperiment(experiment, place, { signal: interrupted }));
        progress.update((i + 1) / loaded.length, loaded.length);
      }
    } finally {
      progress.end();
    }
    const grid = experimentGrid(results);
    await print(
      { json: { experiments: results }, grid, text: experimentText(results, renderGrid(grid, 'table')) },
      output,
    );
    if (results.some(({ checks }) => checks.some(({ kind, holds }) => kind === 'predicted' && !holds)))
      process.exitCode = EXIT.gate;
  },
};
