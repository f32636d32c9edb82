import { Interrupted, TraceError, UsageError } from '../model/errors.ts';

/** Exit codes: 0 done, 1 a gate failed, then these. */
export const EXIT = { gate: 1, usage: 2, bug: 70, interrupted: 130 } as const;

/** Says what went wrong, in one line where it is the user's to mend, and returns the exit code. */
export function report(error: unknown): number {
  if (error instanceof Interrupted) return EXIT.interrupted;
  if (error instanceof TraceError || error instanceof UsageError) {
    process.stderr.write(`iommulator: ${error.message}\n`);
    return EXIT.usage;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`iommulator: this is a bug, please report it with the command line\n${text}\n`);
  return EXIT.bug;
}
