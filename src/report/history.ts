import type { Finding } from '../model/gates.ts';
import type { Series } from '../model/history.ts';
import type { Grid } from './grid.ts';

/** Heights of a trend, lowest first. */
const BARS = '▁▂▃▄▅▆▇█';
/** Commits of one trend: the last ones. */
const MOST_BARS = 24;

/** Rows of `track show`: each figure at the first and at the last commit, and its way between. */
export function seriesGrid(series: readonly Series[]): Grid {
  return {
    columns: ['subject', 'figure', 'commits', 'first', 'last', 'trend', 'verdict'],
    rows: series.map(({ subject, figure, points, verdict }) => [
      subject,
      figure,
      String(points.length),
      String(points[0]!.value),
      String(points.at(-1)!.value),
      trend(points.map(({ value }) => value)),
      verdict ?? '-',
    ]),
  };
}

function trend(values: readonly number[]): string {
  const shown = values.slice(-MOST_BARS);
  const [least, most] = [Math.min(...shown), Math.max(...shown)];
  if (most === least) return BARS[0]!.repeat(shown.length);
  return shown.map((value) => BARS[Math.round(((value - least) / (most - least)) * (BARS.length - 1))]).join('');
}

/** Rows of `track check`: what every rule says. */
export function findingGrid(findings: readonly Finding[]): Grid {
  return {
    columns: ['subject', 'rule', 'holds', 'what'],
    rows: findings.map(({ subject, rule, holds, message }) => [subject, rule, holdsText(holds), message]),
  };
}

/** The same for people: what fails, what could not be judged, and how many rules hold. */
export function findingText(findings: readonly Finding[]): string {
  const shown = findings.filter(({ holds }) => holds !== true);
  const lines = shown.map(({ subject, rule, holds, message }) => {
    const word = holds === false ? 'fails     ' : 'not judged';
    return `${word}  ${rule}: ${subject}: ${message}`;
  });
  const held = findings.length - shown.length;
  const failed = findings.filter(({ holds }) => holds === false).length;
  return `${[...lines, `${held} of ${findings.length} checks hold, ${failed} fail`].join('\n')}\n`;
}

/** The JSON of `track check`. */
export function findingJson(findings: readonly Finding[]) {
  const of = (value: boolean | null): number => findings.filter(({ holds }) => holds === value).length;
  return { checks: findings, held: of(true), failed: of(false), not_judged: of(null) };
}

function holdsText(holds: boolean | null): string {
  return holds === null ? 'not judged' : holds ? 'yes' : 'no';
}
