import type { Argv } from 'yargs';
import { version } from '../../build/package.js';
import type { TrackRequest } from '../jobs/track.ts';
import { MAIN_FIGURES } from '../model/history.ts';
import { parseNames } from '../model/run.ts';

const TEXT = { type: 'string', requiresArg: true } as const;
const RESULTS = 'JSON of compare or run; the last commit of the history if none is given';

/** The history, as yargs gives it. */
export interface HistoryArgs {
  history: string;
  quiet: boolean;
}

/** Adds the history. */
export const historyOption = <T>(y: Argv<T>) =>
  y.option('history', { ...TEXT, default: 'iommulator.ndjson', describe: 'The history, one JSON record a line' });

export const HOST_OPTION = { ...TEXT, describe: 'a,b,...: files of host times, one JSON object a line' } as const;
export const FIGURES_OPTION = {
  ...TEXT,
  defaultDescription: MAIN_FIGURES.join(),
  describe: 'a,b,...: keys of the result, such as cost.work_ns',
} as const;

/** The figures that an option names. */
export const figuresOf = (text: string | undefined): readonly string[] => parseNames(text, '--figures') ?? MAIN_FIGURES;

/** What is held against what, as yargs gives it. */
export interface AgainstArgs extends HistoryArgs {
  results: string[];
  host?: string;
  against?: string;
  allow?: string;
  threshold: string;
  samples: string;
}

/** Adds what is held against what. */
export const againstOptions = <T>(y: Argv<T>) =>
  historyOption(y.positional('results', { type: 'string', array: true, default: [], describe: RESULTS }))
    .option('host', HOST_OPTION)
    .option('against', { ...TEXT, describe: 'A commit of the history, or another history; the last if not given' })
    .option('allow', { ...TEXT, describe: 'KEY=1%,...: by how much figures may change; KEY may end in *' })
    .option('threshold', { ...TEXT, default: '10%', describe: 'By how much the median of host times may be worse' })
    .option('samples', { ...TEXT, default: '10', describe: 'Fewest samples of host times that are judged' });

/** Says what is beside the result. */
export const noteTo = (note: string): void => {
  process.stderr.write(`${note}\n`);
};

/** What the options ask for. */
export function trackRequest({ history, results, host, against }: Omit<AgainstArgs, 'quiet'>): TrackRequest {
  const files = parseNames(host, '--host') ?? [];
  return { history, results, host: files, against, tool: version, onNote: noteTo };
}
