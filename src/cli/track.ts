import type { CommandModule } from 'yargs';
import { trackCheck } from './track-check.ts';
import { trackExport } from './track-export.ts';
import { trackRecord } from './track-record.ts';
import { trackShow } from './track-show.ts';

export const track: CommandModule = {
  command: 'track',
  describe: 'A history of results: append, check for regressions, show, export',
  builder: (y) =>
    y
      .command([trackRecord, trackCheck, trackShow, trackExport] as never)
      .demandCommand(1, 'expected what to do: record, check, show, export'),
  handler: () => {},
};
