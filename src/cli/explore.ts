import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { counterexampleOf, saveSchedule, traceable } from '../explore/as-trace.ts';
import { exploreRaces, racesLeftOut, replayRace } from '../explore/matrix.ts';
import { judgeThread, THREAD } from '../explore/thread.ts';
import { UsageError } from '../model/errors.ts';
import { parseNames, parseWhole } from '../model/run.ts';
import { exploreGrid, exploreJson, exploreMarkdown, exploreText, leftOutLines } from '../report/explore.ts';
import { drawing } from '../report/schedule.ts';
import { threadGrid, threadMarkdown, threadText } from '../report/thread.ts';
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
      .example('$0 explore thread', 'what was said on linux-mm in August 2017, tried') as never,
  handler: async ({ races, policies, machines, set = [], workers, replay, asTrace, failOn, quiet, ...output }) => {
    const pool = { workers: parseWhole(workers, '--workers', 1, 64), signal: interrupted };
    if (races.includes(THREAD)) {
      if (races.length > 1 || policies || machines || set.length > 0 || replay || asTrace || failOn)
        throw new UsageError('explore thread has its own races, policies and machines, expected nothing beside it');
      const { update, end } = startProgress('exploring', quiet, 'explorations');
      const statements = await judgeThread({ ...pool, onProgress: update }).finally(end);
      const texts = { text: threadText(statements), markdown: threadMarkdown(statements) };
      return print({ json: { statements }, grid: threadGrid(statements), ...texts }, output);
    }
    const names = { policies: parseNames(policies, '--policies'), machines: parseNames(machines, '--machines') };
    const request = { ...names, settings: set };
    const save = (schedule: string): void => {
      if (asTrace === undefined) return;
      const command = saveSchedule(races, request, schedule, asTrace);
      if (!quiet) process.stderr.write(`${asTrace}: ${command}\n`);
    };
    if (replay !== undefined) {
      await emit(drawing(replayRace(races, request, replay), output.format), output.output);
      return save(replay);
    }
    if (asTrace !== undefined) traceable(races, request);
    const left = racesLeftOut(races, request);
    if (!quiet) for (const line of leftOutLines(left)) process.stderr.write(`${line}\n`);
    const { update, end } = startProgress('exploring', quiet, 'explorations');
    const all = await exploreRaces(races, request, { ...pool, onProgress: update }).finally(end);
    const texts = { text: exploreText(all, left), markdown: exploreMarkdown(all, left) };
    await print({ json: exploreJson(all, left, version), grid: exploreGrid(all), ...texts }, output);
    if (asTrace !== undefined) save(counterexampleOf(all));
    if (failOn && all.some(({ verdict }) => verdict === failOn)) process.exitCode = EXIT.gate;
  },
};
