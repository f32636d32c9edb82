import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { TraceError, UsageError } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { lackey } from '../trace/import/lackey.ts';
import { streamInput } from '../trace/input.ts';
import { importInput } from './import.ts';

/** Where valgrind writes its log: a pipe of its own, so that the program keeps its three. */
const LOG = 3;
/** What valgrind is told; `--log-fd` keeps its lines apart from the program's. */
const FLAGS = ['--tool=lackey', '--trace-mem=yes', '--trace-syscalls=yes', `--log-fd=${LOG}`];
/** Exit codes of a program that could not be started. */
const NOT_STARTED = [126, 127];

/** What became of a recorded program. */
export interface Recorded {
  readonly meta: TraceMeta;
  /** Its exit code, or 128 + the signal that ended it, as a shell says. */
  readonly code: number;
}

/** Runs a program under valgrind's lackey and imports what it says as it comes: no text is ever on disk. */
export async function recordProgram(
  command: readonly string[],
  to: string,
  interleave: boolean,
  signal?: AbortSignal,
): Promise<Recorded> {
  const [program] = command as [string];
  const child = spawn('valgrind', [...FLAGS, '--', ...command], { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = 'valgrind is not installed: it makes the recording (Debian: apt-get install valgrind)';
      reject(new UsageError(error.code === 'ENOENT' ? missing : `cannot run valgrind: ${error.code}`));
    });
    child.on('close', (code, killed) => resolve(code ?? 128 + (killed ? constants.signals[killed] : 0)));
  });
  // Whoever waits for it later hears of it; until then nobody does.
  ended.catch(() => {});
  try {
    const input = streamInput(basename(program), child.stdio[LOG] as Readable, { signal });
    const request = { strict: false, interleave, importer: lackey };
    const imported = importInput(input, to, request, signal).catch(async (error: unknown) => {
      const code = await ended;
      const unread = error instanceof TraceError && NOT_STARTED.includes(code);
      throw unread ? new UsageError(`valgrind could not start ${program}: exit code ${code}`) : error;
    });
    return { meta: await imported, code: await ended };
  } finally {
    child.kill();
  }
}
