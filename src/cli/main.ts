#!/usr/bin/env node
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { UsageError } from '../model/errors.ts';
import { discardUnfinished } from '../trace/output.ts';
import { calibrate } from './calibrate.ts';
import { compare } from './compare.ts';
import { decode } from './decode.ts';
import { difference } from './difference.ts';
import { EXIT, report } from './errors.ts';
import { explore } from './explore.ts';
import { exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { inspect } from './inspect.ts';
import { interrupted, watchInterrupts } from './interrupt.ts';
import { list } from './list.ts';
import { record } from './record.ts';
import { run } from './run.ts';
import { tlb } from './tlb.ts';
import { verify } from './verify.ts';
import { toolVersion } from './version.ts';

const START = `iommulator replays recorded memory accesses through a model of TLBs and IOMMUs.

  what does deferring an invalidation save, and is it safe?   iommulator compare sqlite
  how often does a program miss the TLB?                      iommulator tlb sqlite
  make a trace from a recording of your own                   iommulator import app.lk -o app.trace

iommulator --help lists all commands, iommulator COMMAND --help explains one.
`;

async function main(args: string[]): Promise<void> {
  if (args.length === 0) {
    process.stdout.write(START);
    return;
  }
  refuseTwice(args);
  await yargs(args)
    .scriptName('iommulator')
    .usage('$0 COMMAND')
    .command([
      compare,
      run,
      difference,
      explore,
      tlb,
      importCommand,
      record,
      exportCommand,
      inspect,
      list,
      decode,
      verify,
      calibrate,
    ] as never)
    .option('quiet', { type: 'boolean', default: false, describe: 'No progress and no notes on stderr' })
    .demandCommand(1, 'expected a command')
    .recommendCommands()
    .strict()
    .version(toolVersion())
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      // yargs says what it finds wrong with arguments now as a message, now as an error of its own.
      if (error && error.name !== 'YError') throw error;
      const words = (error?.message ?? message).split(/\s+/).filter((word) => word !== '');
      throw new UsageError(`${words.join(' ')} (see iommulator --help)`);
    })
    .parseAsync();
}

/** yargs makes a list of an option that is given twice; --set alone takes one that way. */
function refuseTwice(args: readonly string[]): void {
  const seen = new Set<string>();
  const end = args.indexOf('--');
  for (const arg of end < 0 ? args : args.slice(0, end)) {
    const name = arg === '-o' ? '--output' : /^--[^=]+/.exec(arg)?.[0];
    if (name !== undefined && name !== '--set' && seen.has(name)) throw new UsageError(`${name} is given twice`);
    if (name !== undefined) seen.add(name);
  }
}

watchInterrupts();
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  discardUnfinished();
  if (error.code === 'EPIPE') process.exit(0);
  process.exit(report(new UsageError(`cannot write to standard output: ${error.code}`)));
});
try {
  await main(hideBin(process.argv));
} catch (error) {
  process.exitCode = report(error);
} finally {
  discardUnfinished();
}
if (interrupted.aborted) process.exitCode = EXIT.interrupted;
