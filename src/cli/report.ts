import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { readResult } from '../catalog/results.ts';
import { openHistory } from '../jobs/track.ts';
import { reportPage } from '../report/page/page.ts';
import { emit } from './emit.ts';
import { noteTo } from './track-options.ts';

interface Args {
  results: string[];
  history?: string;
  output: string;
}

export const reportCommand: CommandModule<object, Args> = {
  command: 'report <results..>',
  describe: 'Results as one HTML page with charts and tables, which loads nothing',
  builder: (y) =>
    y
      .positional('results', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'What compare, run or explore wrote with --format json, or sweep gather as .ndjson',
      })
      .option('history', { type: 'string', requiresArg: true, describe: 'A history of track, drawn below the results' })
      .option('output', {
        alias: 'o',
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'The page, written whole or not at all; - for standard output',
      })
      .example('$0 report sqlite.json -o sqlite.html', 'after: compare sqlite --format json -o sqlite.json')
      .example('$0 report sqlite.json races.json -o r.html', 'a comparison and an exploration on one page') as never,
  handler: async ({ results, history, output }) => {
    const records = history === undefined ? [] : [{ kind: 'history', result: openHistory(history, noteTo) } as const];
    return emit(await reportPage([...results.map(readResult), ...records], version), output);
  },
};
