import type { RunResult } from '../model/result.ts';
import { count, type Grid } from './grid.ts';

/** Every number of one run, a row each, named as in the JSON. */
export function runGrid(result: RunResult): Grid {
  const rows: string[][] = [
    ['policy', result.policy],
    ['machine', result.machine],
    ['seed', String(result.seed)],
  ];
  if (result.schedule) flatten('schedule', result.schedule, rows);
  flatten('cost', result.cost, rows);
  flatten('safety', result.safety, rows);
  for (const { machine, ...one } of result.consumers ?? []) flatten(`consumers.${machine}`, one, rows);
  for (const { device, ...one } of result.devices ?? []) flatten(`devices.${device}`, one, rows);
  rows.push(['repro', result.repro]);
  return { columns: ['what', 'value'], rows };
}

function flatten(name: string, value: unknown, rows: string[][]): void {
  if (Array.isArray(value)) rows.push([name, value.join(' ')]);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) flatten(`${name}.${key}`, inner, rows);
  } else rows.push([name, typeof value === 'number' ? number(value) : String(value)]);
}

function number(value: number): string {
  const [whole, part] = Math.abs(value).toString().split('.');
  return `${value < 0 ? '-' : ''}${count(Number(whole))}${part === undefined ? '' : `.${part}`}`;
}
