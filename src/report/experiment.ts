import type { TableResult } from '../model/experiment.ts';
import type { Grid } from './grid.ts';

/** A row per outcome. */
export function experimentGrid(results: readonly TableResult[]): Grid {
  return {
    columns: ['experiment', 'check', 'kind', 'published', 'got', 'with default costs', 'tolerance', 'holds'],
    rows: results.flatMap(({ experiment, checks }) =>
      checks.map(({ name, kind, expected, got, with_default_costs: usual, unit, tolerance, holds }) => [
        experiment,
        name,
        kind,
        `${numberText(expected)} ${unit}`.trim(),
        got === null ? '-' : numberText(got),
        usual === null ? '-' : numberText(usual),
        tolerance,
        got === null ? 'not modelled' : holds ? 'yes' : 'NO',
      ]),
    ),
  };
}

/** The rows, where they come from, and why what is not modelled is not. */
export function experimentText(results: readonly TableResult[], table: string): string {
  const notes = results.flatMap(({ experiment, title, source, checks }) => [
    `${experiment}: ${title}`,
    `  ${source}`,
    ...checks.flatMap(({ name, why }) => (why === undefined ? [] : [`  ${name}: ${why}`])),
  ]);
  const sum = (key: 'held' | 'failed'): number => results.reduce((all, result) => all + result[key], 0);
  return `${table}\n${notes.join('\n')}\n\n${sum('held')} of ${sum('held') + sum('failed')} hold\n`;
}

function numberText(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}
