import type { Check, RecordingResult } from '../model/check.ts';
import { count, type Grid, renderGrid } from './grid.ts';

/** A row per check. */
export function checkGrid(checks: readonly Check[]): Grid {
  return {
    columns: ['check', 'expected', 'got', 'tolerance', 'holds'],
    rows: checks.map(({ name, kind, expected, got, tolerance, holds }) =>
      kind === 'not-modelled'
        ? [name, count(expected), '-', '-', 'not modelled']
        : [name, count(expected), count(got), String(tolerance), holds ? 'yes' : 'NO'],
    ),
  };
}

/** The checks with what went into them above, and below both sides of the first mismatches with lines of the source. */
export function recordingText(name: string, source: string, result: RecordingResult): string {
  const { machine, policy, inferred, checks, mismatches, mismatched } = result;
  const facts = inferred.map((sentence) => `  ${sentence}\n`).join('');
  const lines = mismatches.map(
    ({ line, recorded, predicted }) => `${source}:${line}: recorded ${recorded}; predicted ${predicted}\n`,
  );
  const more = mismatched > mismatches.length ? `... and ${count(mismatched - mismatches.length)} more\n` : '';
  const below = mismatched > 0 ? `\n${lines.join('')}${more}` : '';
  return `${name} on ${machine}, policy ${policy}\n${facts}\n${renderGrid(checkGrid(checks), 'table')}${below}`;
}
