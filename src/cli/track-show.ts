import type { CommandModule } from 'yargs';
import { openHistory } from '../jobs/track.ts';
import { seriesOf } from '../model/history.ts';
import { seriesGrid } from '../report/history.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { FIGURES_OPTION, figuresOf, type HistoryArgs, historyOption, noteTo } from './track-options.ts';

interface Args extends HistoryArgs, OutputArgs {
  words: string[];
  figures?: string;
}

const WORDS = { type: 'string', array: true, default: [], describe: 'Only subjects with all these words' } as const;

export const trackShow: CommandModule<object, Args> = {
  command: 'show [words..]',
  describe: 'Figures of a history over its commits',
  builder: (y) =>
    historyOption(y.positional('words', WORDS))
      .option('figures', FIGURES_OPTION)
      .options(OUTPUT_OPTIONS)
      .example('$0 track show', 'the main figures of all that was recorded')
      .example('$0 track show sqlite range-end --figures cost.work_ns', 'one figure of one trace and policy') as never,
  handler: async ({ history, words, figures, ...output }) => {
    const all = seriesOf(openHistory(history, noteTo), figuresOf(figures));
    const series = all.filter(({ subject }) => words.every((word) => subject.split(' ').includes(word)));
    await print({ json: { series }, grid: seriesGrid(series) }, output);
  },
};
