#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { UsageError } from '../model/errors.ts';
import { discardUnfinished } from '../trace/output.ts';
import { EXIT, report } from './errors.ts';
import { exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { inspect } from './inspect.ts';
import { interrupted, watchInterrupts } from './interrupt.ts';
import { list } from './list.ts';
import { tlb } from './tlb.ts';

const START = `iommulator replays recorded memory accesses through a model of TLBs and IOMMUs.

  how often does a program miss the TLB?         iommulator tlb sqlite
  make a trace from a valgrind lackey recording  iommulator import app.lk.zst -o app.trace
  what is in a trace?                            iommulator inspect app.trace

iommulator --help lists all commands, iommulator COMMAND --help explains one.
`;

async function main(args: string[]): Promise<void> {
  if (args.length === 0) {
    process.stdout.write(START);
    return;
  }
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  await yargs(args)
    .scriptName('iommulator')
    .usage('$0 COMMAND')
    .command([tlb, importCommand, exportCommand, inspect, list] as never)
    .option('quiet', { type: 'boolean', default: false, describe: 'No progress and no notes on stderr' })
    .demandCommand(1, 'expected a command')
    .recommendCommands()
    .strict()
    .version(version)
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(`${message.split('\n')[0]} (see iommulator --help)`);
    })
    .parseAsync();
}

watchInterrupts();
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.exitCode = report(error);
});
try {
  await main(hideBin(process.argv));
} catch (error) {
  process.exitCode = report(error);
} finally {
  discardUnfinished();
}
if (interrupted.aborted) process.exitCode = EXIT.interrupted;
