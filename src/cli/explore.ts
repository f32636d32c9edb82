import type { CommandModule } from 'yargs';
import { loadRaces } from '../catalog/races.ts';
import { replayCells } from '../explore/explore.ts';
import { cellsOf, exploreAll } from '../explore/matrix.ts';
import { engineModule } from '../jobs/module.ts';
import { parseNames, parseWhole } from '../model/run.ts';
import { exploreGrid, exploreText } from '../report/explore.ts';
import { replayText } from '../report/schedule.ts';
import { emit } from './emit.ts';
import { EXIT } from './errors.ts';
import { type ExploreArgs, exploreOptions } from './explore-options.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';

export const explore: CommandModule<object, ExploreArgs & OutputArgs> = {
  command: 'explore <races..>',
  describe: 'Every order of the steps of a small race: does a property break, and how?',
  builder: (y) =>
    exploreOptions(y)
      .options(OUTPUT_OPTIONS)
      .example('$0 explore all', 'all shipped races under five policies')
      .example('$0 explore madv-free-discard --policies range-end', 'one race, one policy') as never,
  handler: async ({ races, policies, machines, set = [], workers, replay, failOn, quiet, ...output }) => {
    const names = { policies: parseNames(policies, '--policies'), machines: parseNames(machines, '--machines') };
    const cells = cellsOf(loadRaces(races), { ...names, settings: set });
    if (replay !== undefined) return emit(replayText(replayCells(cells, replay, engineModule())), output.output);
    const { update, end } = startProgress('exploring', quiet);
    const options = { workers: parseWhole(workers, '--workers', 1, 64), onProgress: update, signal: interrupted };
    const all = await exploreAll(cells, options).finally(end);
    await print({ json: { races: all }, grid: exploreGrid(all), text: exploreText(all) }, output);
    if (failOn && all.some(({ verdict }) => verdict === failOn)) process.exitCode = EXIT.gate;
  },
};
