import type { Argv } from 'yargs';
import { type LocatedTrace, locateTrace } from '../jobs/locate.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';

/** yargs makes nothing of a `-`; an argument that is nothing never gets here. */
export function dash(text: string): string {
  return text === '' ? '-' : text;
}

/** The TRACE positional of most commands. */
export function traceArgument<T>(y: Argv<T>) {
  return y.positional('trace', {
    type: 'string',
    demandOption: true,
    coerce: dash,
    describe: 'A trace file, the name of a shipped trace, or a foreign file or - for a pipe, imported on the fly',
  });
}

/** Finds the trace, with progress while a foreign file is imported. */
export function findTrace(given: string, quiet: boolean): Promise<LocatedTrace> {
  const progress = startProgress(`importing ${given}`, quiet, 'B');
  const reading = { onProgress: progress.update, signal: interrupted, stdin: process.stdin };
  return locateTrace(given, reading).finally(() => progress.end());
}

/** Finds the trace; it is closed when `use` is done. */
export async function withTrace<T>(
  given: string,
  quiet: boolean,
  use: (trace: LocatedTrace) => Promise<T>,
): Promise<T> {
  const trace = await findTrace(given, quiet);
  try {
    return await use(trace);
  } finally {
    trace.close();
  }
}
