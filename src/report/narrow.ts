/** A comparison where columns are few: in a mail, and in a narrow terminal. */
import type { RunResult } from '../model/result.ts';
import type { ComparisonView } from './compare.ts';
import type { Grid } from './grid.ts';
import { alignedMarkdown, renderGrid, splitColumns } from './grid.ts';
import { MAIL, wrap, wrapCommand } from './wrap.ts';

/** What stands under a heading, whatever the machine. */
interface Column {
  readonly title: string;
  readonly cell: (run: RunResult) => string;
}

const SHARED: readonly Column[] = [
  { title: 'inval.', cell: ({ cost }) => cost.invalidations_per_page.toFixed(2) },
  { title: 'added us', cell: ({ cost }) => (cost.added_per_page_ns / 1e3).toFixed(2) },
  { title: 'x', cell: ({ cost }) => cost.vs_baseline.toFixed(2) },
];
const SPACE: readonly Column[] = [
  ...SHARED,
  { title: 'held us', cell: ({ cost }) => (cost.lock_hold_ns.p99 / 1e3).toFixed(2) },
  { title: 'wait ms', cell: ({ cost }) => (cost.lock_wait_ns / 1e6).toFixed(2) },
  { title: 'used', cell: ({ safety }) => String(safety.stale_uses) },
];
const DMA: readonly Column[] = [
  ...SHARED,
  { title: 'full', cell: ({ cost }) => String(cost.invalidations.fq_flush_full) },
  { title: 'timer', cell: ({ cost }) => String(cost.invalidations.fq_flush_timer) },
  { title: 'used', cell: ({ safety }) => String(safety.stale_uses) },
  { title: 'late', cell: ({ safety }) => String(safety.violations.S1) },
];
const LAST: readonly Column[] = [
  { title: 'open us', cell: ({ safety }) => open(safety.window_ns.p99) },
  { title: 'verdict', cell: ({ safety }) => safety.verdict },
];

const WORDS = 'x: all work against the first policy.';
const SPACE_WORDS = `${WORDS} held: page-table lock, p99. wait: others for it. used: device accesses by stale entries. open: how long a page had one, p99.`;
const DMA_WORDS = `${WORDS} full, timer: flushes of a domain because its queue was full, by its timer. used: device accesses by stale entries; late: after the unmap returned. open: how long a page had one, p99.`;

/** Which pages numbers per page are of. */
export function perPage(results: readonly RunResult[]): string {
  return `per page ${results.every(({ cost }) => cost.pages_unmapped === 0) ? 'changed' : 'unmapped'}`;
}

/** What the columns are. */
function words({ meta, results }: ComparisonView): string {
  return `inval., added: ${perPage(results)}. ${meta.counts.maps > 0 ? DMA_WORDS : SPACE_WORDS}`;
}

/** Three or four digits. */
function open(ns: number): string {
  return (ns / 1e3).toFixed(ns >= 1e6 ? 0 : 2);
}

/** A grid per machine. */
function grids({ meta, results, same }: ComparisonView, star: string): { machine: string; grid: Grid }[] {
  const columns = [...(meta.counts.maps > 0 ? DMA : SPACE), ...LAST];
  const machines = [...new Set(results.map(({ machine }) => machine))];
  return machines.map((machine) => {
    const rows = results
      .filter((run) => run.machine === machine)
      .map((run, i) => {
        const equal = same[`${run.policy} on ${machine}`];
        const name = equal === undefined ? run.policy + (i === 0 ? star : '') : `${run.policy} = ${equal}`;
        return [name, ...columns.map(({ cell }) => cell(run))];
      });
    return { machine, grid: { columns: ['policy', ...columns.map(({ title }) => title)], rows } };
  });
}

/** Tables that are tables in Markdown, and can be read in a plain mail. */
export function compareMarkdown(view: ComparisonView): string {
  const tables = grids(view, '').flatMap(({ machine, grid }) => {
    const whole = alignedMarkdown(grid);
    const fits = whole.slice(0, whole.indexOf('\n')).length <= MAIL;
    const parts = fits ? [whole] : splitColumns(grid, MAIL).map((part) => renderGrid(part, 'md'));
    return parts.map((part) => `On ${machine}:\n\n${part}`);
  });
  const left = view.skipped.map(({ policy, machine, why }) => `Left out: ${policy} on ${machine}: ${why}`);
  const lines = [words(view), ...left];
  const again = wrapCommand(view.again, MAIL - 4).map((line) => `    ${line}\n`);
  return [...tables, ...lines.map((text) => `${wrap(text, MAIL).join('\n')}\n`), again.join('')].join('\n');
}

/** The tables for a terminal of `width` columns, and what they mean. */
export function narrowTables(view: ComparisonView, width: number): string[] {
  const lines = wrap(words(view), width);
  const tables = grids(view, '*').flatMap(({ machine, grid }) => [
    machine,
    ...renderGrid(grid, 'table').trimEnd().split('\n'),
    '',
  ]);
  return ['', ...tables, ...lines, ''];
}

/** Lines under a table as lines of at most `width`: what begins with a name hangs below what stands beside it. */
export function hang(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    // A command is to be copied: a terminal breaks it without a line's end.
    if (line.length <= width || /^(again|one row) /.test(line)) return [line];
    const indent = /^(?:\S+ +| *)(?:(?:recorded|generated|added) +)?/.exec(line)![0].length;
    const [first = '', ...rest] = wrap(line.slice(indent), width - indent);
    return [line.slice(0, indent) + first, ...rest.map((part) => ' '.repeat(indent) + part)];
  });
}
