import type { CommandModule } from 'yargs';
import { judgedOf, sidesOf } from '../jobs/track.ts';
import { judgeHistory, parseLimits } from '../model/gates.ts';
import { EXPORTS, exportText, junitXml } from '../report/exchange.ts';
import { emit } from './emit.ts';
import { type AgainstArgs, againstOptions, FIGURES_OPTION, figuresOf, trackRequest } from './track-options.ts';

const FORMS = [...EXPORTS, 'junit'] as const;
const OUTPUT = {
  alias: 'o',
  type: 'string',
  requiresArg: true,
  describe: 'Write to a file, whole or not at all',
} as const;

interface Args extends AgainstArgs {
  as: (typeof FORMS)[number];
  figures?: string;
  output?: string;
}

export const trackExport: CommandModule<object, Args> = {
  command: 'export [results..]',
  describe: 'Figures for github-action-benchmark, Bencher, benchstat; checks as JUnit XML',
  builder: (y) =>
    againstOptions(y)
      .option('as', { choices: FORMS, demandOption: true, requiresArg: true, describe: 'Whose format' })
      .option('figures', FIGURES_OPTION)
      .option('output', OUTPUT)
      .example('$0 track export --as github-smaller -o bench.json', 'the last commit, for github-action-benchmark')
      .example('$0 track export sqlite.json --as junit -o checks.xml', 'what `track check` says, for a CI') as never,
  handler: async ({ as, figures, output, ...args }) => {
    const request = trackRequest(args);
    if (as !== 'junit') return emit(exportText(as, judgedOf(request), figuresOf(figures)), output);
    const { before, now } = sidesOf(request);
    const properties = { tool: `iommulator ${request.tool}`, against: before[0]!.commit };
    return emit(junitXml(judgeHistory(before, now, parseLimits(args)), properties), output);
  },
};
