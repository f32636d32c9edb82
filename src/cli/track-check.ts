import type { CommandModule } from 'yargs';
import { sidesOf } from '../jobs/track.ts';
import { judgeHistory, parseLimits } from '../model/gates.ts';
import { findingGrid, findingJson, findingText } from '../report/history.ts';
import { EXIT } from './errors.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { type AgainstArgs, againstOptions, trackRequest } from './track-options.ts';

export const trackCheck: CommandModule<object, AgainstArgs & OutputArgs> = {
  command: 'check [results..]',
  describe: 'Hold results against a history: equal numbers, verdicts no worse, host times within a threshold',
  builder: (y) =>
    againstOptions(y)
      .options(OUTPUT_OPTIONS)
      .example('$0 track check sqlite.json', 'against the last commit of the history')
      .example(
        '$0 track check sqlite.json --against 1a2b3c4 --allow cost.lock_wait_ns=1%',
        'one of its commits',
      ) as never,
  handler: async ({ format, output, ...args }) => {
    const { before, now } = sidesOf(trackRequest(args));
    const findings = judgeHistory(before, now, parseLimits(args));
    const json = findingJson(findings);
    await print({ json, grid: findingGrid(findings), text: findingText(findings) }, { format, output });
    if (json.failed > 0) process.exitCode = EXIT.gate;
  },
};
