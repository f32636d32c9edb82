import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { appendHistory } from '../jobs/history.ts';
import { makeRecords } from '../jobs/track.ts';
import { UsageError } from '../model/errors.ts';
import { parseNames } from '../model/run.ts';
import { interrupted } from './interrupt.ts';
import { COMMIT_OPTION, commitOf } from './track-commit.ts';
import { type HistoryArgs, HOST_OPTION, historyOption } from './track-options.ts';

interface Args extends HistoryArgs {
  results: string[];
  host?: string;
  commit?: string;
}

const RESULTS = { type: 'string', array: true, default: [], describe: 'JSON of compare or run' } as const;

export const trackRecord: CommandModule<object, Args> = {
  command: 'record [results..]',
  describe: 'Append results, and apart from them host times, to a history',
  builder: (y) =>
    historyOption(y.positional('results', RESULTS))
      .option('host', HOST_OPTION)
      .option('commit', COMMIT_OPTION)
      .example('$0 track record sqlite.json --commit 1a2b3c4', 'after: compare sqlite --format json -o sqlite.json')
      .example('$0 track record --host bench.ndjson --commit 1a2b3c4', 'times of a benchmark') as never,
  handler: async ({ results, host, commit, history, quiet }) => {
    if (results.length === 0 && host === undefined)
      throw new UsageError('nothing to record, expected results or --host');
    const made = { results, host: parseNames(host, '--host') ?? [], tool: version };
    const records = makeRecords(made, commitOf(commit));
    await appendHistory(history, records, interrupted);
    if (!quiet) process.stderr.write(`${history}: ${records.length} records of ${records[0]?.commit} appended\n`);
  },
};
