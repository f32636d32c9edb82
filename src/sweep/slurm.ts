/**
 * A sweep as jobs of Slurm over a folder that all nodes share: an array job with one task per shard, and a step behind
 * it that makes what is missing, whatever became of the tasks, and gathers. The files are the truth, not the scheduler.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UsageError } from '../model/errors.ts';

/** Seconds of work for a task that is worth being scheduled: starting one takes Slurm about one. */
const TASK_SECONDS = 60;

/** What is submitted. */
export interface SlurmSweep {
  readonly name: string;
  /** The sweep's file, and the folder of its results. */
  readonly file: string;
  readonly folder: string;
  readonly shards: number;
  readonly workers: number;
  /** The command that starts this program, on every node. */
  readonly command: readonly string[];
}

/** Jobs that were submitted. */
export interface SlurmJobs {
  readonly array: string;
  readonly gather: string;
  /** Folder of the scripts and of what tasks print. */
  readonly logs: string;
}

/** Shards for so many seconds of work of one worker, at most one a group of runs. */
export function shardsFor(seconds: number, workers: number, groups: number): number {
  return Math.max(1, Math.min(groups, Math.ceil(seconds / workers / TASK_SECONDS)));
}

/** The scripts of both jobs. */
export function slurmScripts({ name, file, folder, shards, workers, command }: SlurmSweep) {
  const logs = join(resolve(folder), 'slurm');
  const program = command.map(quoted).join(' ');
  const about = `${quoted(resolve(file))} --folder ${quoted(resolve(folder))}`;
  const head = (job: string, out: string): string =>
    `#!/bin/sh\n#SBATCH --job-name=${job}\n#SBATCH --cpus-per-task=${workers}\n#SBATCH --output=${join(logs, out)}\n`;
  return {
    logs,
    array: `${head(name, '%a.out')}#SBATCH --array=1-${shards}\nexec ${program} worker ${about} --shard "$SLURM_ARRAY_TASK_ID/${shards}" --workers ${workers} --quiet\n`,
    gather: `${head(`${name}-gather`, 'gather.out')}${program} sweep ${about} --workers ${workers} --quiet || exit\nexec ${program} sweep gather ${about} -o ${quoted(join(resolve(folder), `${name}.parquet`))}\n`,
  };
}

/** Submits both jobs, the second to begin when the first has ended in any way. */
export function submitSlurm(sweep: SlurmSweep): SlurmJobs {
  const { logs, array, gather } = slurmScripts(sweep);
  const scripts = { array: join(logs, 'array.sh'), gather: join(logs, 'gather.sh') };
  try {
    mkdirSync(logs, { recursive: true });
    writeFileSync(scripts.array, array);
    writeFileSync(scripts.gather, gather);
  } catch (error) {
    throw new UsageError(`cannot write ${logs}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const first = sbatch(scripts.array);
  return { array: first, gather: sbatch(`--dependency=afterany:${first}`, scripts.gather), logs };
}

function sbatch(...args: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync('sbatch', ['--parsable', ...args], { encoding: 'utf8' });
  if (error !== undefined)
    throw new UsageError(
      `--executor slurm: sbatch cannot be run (${(error as NodeJS.ErrnoException).code}); is Slurm installed here?`,
    );
  if (status !== 0) throw new UsageError(`--executor slurm: sbatch: ${stderr.trim().split('\n')[0]}`);
  return stdout.trim().split(';')[0]!;
}

/** A word of a shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
