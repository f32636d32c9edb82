import { execFileSync } from 'node:child_process';
import { UsageError } from '../model/errors.ts';

/** The option of commands that record. */
export const COMMIT_OPTION = {
  type: 'string',
  requiresArg: true,
  defaultDescription: 'that of GITHUB_SHA, or of git here',
  describe: 'Commit that the results are of',
} as const;

/** The commit that was given, that of the workflow, or that of the folder. */
export function commitOf(given: string | undefined): string {
  const named = given ?? process.env.GITHUB_SHA;
  if (named !== undefined && named !== '') return named;
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    throw new UsageError('no commit is known here, expected --commit, GITHUB_SHA or a git repository');
  }
}
