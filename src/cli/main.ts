#!/usr/bin/env node
import { version } from '../../build/package.js';
import { UsageError } from '../model/errors.ts';
import { discardUnfinished } from '../trace/output.ts';
import { commandsOf } from './commands.ts';
import { COMPLETES, completer } from './completer.ts';
import { EXIT, report } from './errors.ts';
import { interrupted, watchInterrupts } from './interrupt.ts';

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
  if (args.join() === '--version') {
    process.stdout.write(`${version}\n`);
    return;
  }
  const completes = args.includes(COMPLETES);
  if (!completes) refuseTwice(args);
  const [{ default: yargs }, commands] = await Promise.all([import('yargs'), commandsOf(completes ? [] : args)]);
  const parser = yargs(args)
    .scriptName('iommulator')
    .usage('$0 COMMAND')
    .command(commands as never)
    .option('quiet', { type: 'boolean', default: false, describe: 'No progress and no notes on stderr' })
    .demandCommand(1, 'expected a command')
    .recommendCommands()
    .strict()
    .version(version)
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      // yargs says what it finds wrong with arguments now as a message, now as an error of its own.
      if (error && error.name !== 'YError') throw error;
      const words = (error?.message ?? message).split(/\s+/).filter((word) => word !== '');
      throw new UsageError(`${words.join(' ')} (see iommulator --help)`);
    });
  // yargs would answer the name of this command with the script; false: help does not list it.
  if (completes) parser.completion('completions', false as never, (await completer()) as never);
  spareHelp(parser);
  await parser.parseAsync();
}

/** yargs makes the help of each command that it runs, for handlers that ask for it. None does, and it takes 40 ms. */
function spareHelp(parser: unknown): void {
  type Parser = { getInternalMethods(): { getUsageInstance(): { cacheHelpMessage(): void } } };
  (parser as Parser).getInternalMethods().getUsageInstance().cacheHelpMessage = () => {};
}

/** Options that may be given several times. */
const LISTS: ReadonlySet<string> = new Set(['--set', '--where']);

/** yargs makes a list of an option that is given twice; only those of LISTS take one that way. */
function refuseTwice(args: readonly string[]): void {
  const seen = new Set<string>();
  const end = args.indexOf('--');
  for (const arg of end < 0 ? args : args.slice(0, end)) {
    if (arg === '') throw new UsageError('an argument is empty');
    const name = arg === '-o' ? '--output' : /^--[^=]+/.exec(arg)?.[0];
    if (name !== undefined && !LISTS.has(name) && seen.has(name)) throw new UsageError(`${name} is given twice`);
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
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
} finally {
  discardUnfinished();
}
if (interrupted.aborted) process.exitCode = EXIT.interrupted;
