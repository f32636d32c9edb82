import type { Check } from '../model/check.ts';
import { count, type Grid, renderGrid } from './grid.ts';

/** Failed checks that are shown in full. */
const MAX_SHOWN = 20;

/** A row per vector, each side in at most `width` columns. */
export function vectorGrid(checks: readonly Check<string>[], width: number): Grid {
  const clip = (text: string): string => (text.length > width ? `${text.slice(0, width - 2)}..` : text);
  return {
    columns: ['check', 'expected', 'got', 'tolerance', 'holds'],
    rows: checks.map(({ name, expected, got, tolerance, holds }) => [
      name,
      clip(expected),
      clip(got),
      String(tolerance),
      holds ? 'yes' : 'NO',
    ]),
  };
}

/** The rows, then what differs in those that do not hold, and how many do. */
export function vectorText(file: string, checks: readonly Check<string>[], width: number): string {
  const failed = checks.filter(({ holds }) => !holds);
  const lines = failed.slice(0, MAX_SHOWN).map((check) => `${check.name}: ${differences(check)}\n`);
  const more = failed.length > MAX_SHOWN ? `... and ${count(failed.length - MAX_SHOWN)} more\n` : '';
  const total = `${file}: ${count(checks.length - failed.length)} of ${count(checks.length)} vectors hold\n`;
  return `${renderGrid(vectorGrid(checks, width), 'table')}\n${lines.join('')}${more}${total}`;
}

/** The parts of both sides, `name=value` each, that are not the same. */
function differences({ expected, got }: Check<string>): string {
  const says = got.split(' ');
  const parts = expected
    .split(' ')
    .flatMap((part, i) => (part === says[i] ? [] : [`expected ${part}, got ${says[i]}`]));
  return parts.length > 0 ? parts.join('; ') : 'nothing is expected';
}
