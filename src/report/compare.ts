import type { Costs } from '../model/cost.ts';
import type { Machine } from '../model/machine.ts';
import type { ComparisonResult, RunResult } from '../model/result.ts';
import { programCpus, type TraceMeta } from '../model/trace.ts';
import type { Uncertainty } from '../model/uncertainty.ts';
import { dmaIntro, dmaText } from './dma.ts';
import { count, type Grid } from './grid.ts';
import { hang, narrowTables, perPage } from './narrow.ts';
import { screenRows } from './rows.ts';
import { compareSentences } from './sentences.ts';
import { origin, type TraceLabel, traceResult } from './trace.ts';
import { uncertaintyResult } from './uncertainty.ts';

/** What the reports of a comparison are made from. */
export interface ComparisonView {
  readonly label: TraceLabel;
  readonly meta: TraceMeta;
  readonly results: readonly RunResult[];
  readonly added: readonly string[];
  readonly skipped: readonly { policy: string; machine: string; why: string }[];
  readonly same: Readonly<Record<string, string>>;
  readonly costs: Costs;
  readonly machines: readonly Machine[];
  readonly model: number;
  readonly version: string;
  /** The same under draws of all costs, if that was asked for. */
  readonly uncertainty?: Uncertainty | undefined;
  /** Command lines to repeat it and to look at one row. */
  readonly again: string;
}

/** The result JSON of `compare` and `run`. */
export function compareJson(view: ComparisonView): ComparisonResult {
  return {
    format: 1,
    model: view.model,
    tool: { name: 'iommulator', version: view.version },
    trace: { ...traceResult(view.label, view.meta), added: view.added },
    again: view.again,
    costs: costsResult(view.costs),
    skipped: view.skipped,
    runs: view.results,
    ...(view.uncertainty && { uncertainty: uncertaintyResult(view.uncertainty) }),
  };
}

/** Costs without the words of the catalog. */
function costsResult(costs: Costs): ComparisonResult['costs'] {
  return Object.fromEntries(
    Object.entries(costs).map(([key, { default: value, low, high, confidence }]) => [
      key,
      { default: value, low, high, confidence },
    ]),
  );
}

/** Rows for csv and md: one per run, plain numbers. */
export function compareGrid({ results, same }: ComparisonView): Grid {
  return {
    columns: [
      'machine',
      'policy',
      'inval./page',
      'added ns/page',
      'x',
      'held p99 ns',
      'wait ns',
      'stale used',
      'open p99 ns',
      'verdict',
    ],
    rows: results.map(({ machine, policy, cost, safety }) => [
      machine,
      same[`${policy} on ${machine}`] === undefined ? policy : `${policy} = ${same[`${policy} on ${machine}`]}`,
      cost.invalidations_per_page.toFixed(2),
      cost.added_per_page_ns.toFixed(1),
      cost.vs_baseline.toFixed(2),
      cost.lock_hold_ns.p99.toFixed(0),
      cost.lock_wait_ns.toFixed(0),
      String(safety.stale_uses),
      safety.window_ns.p99.toFixed(0),
      safety.verdict,
    ]),
  };
}

const HEAD = [
  '        page-table lock        stale entries   verdict on',
  'inval.     added     x   held p99  others wait   used  open p99   this trace',
] as const;

/** Columns of the first screen. */
export const SCREEN = 100;

/** The first screen: at most 100 columns, or as many as a narrower terminal has. */
export function compareText(view: ComparisonView, width = SCREEN): string {
  if (width < SCREEN) return narrowText(view, width);
  if (view.meta.counts.maps > 0) return dmaText(view);
  const head = [`${perPage(view.results).padEnd(17)}${HEAD[0]}`, HEAD[1]] as const;
  const lines = [...intro(view), ...screenRows(view.results, view.same, head, cells)];
  for (const { policy, machine: on, why } of view.skipped) lines.push(`left out   ${policy} on ${on}: ${why}`);
  lines.push(...compareSentences(view));
  return `${lines.join('\n')}\n`;
}

function narrowText(view: ComparisonView, width: number): string {
  const head = view.meta.counts.maps > 0 ? dmaIntro(view) : intro(view);
  const left = view.skipped.map(({ policy, machine, why }) => `left out   ${policy} on ${machine}: ${why}`);
  const below = [...left, ...compareSentences(view)].flatMap((line) => hang(line, width));
  return `${[...head.flatMap((line) => hang(line, width)), ...narrowTables(view, width), ...below].join('\n')}\n`;
}

function intro({ label, meta, added }: ComparisonView): string[] {
  const { counts, source } = meta;
  const name = label.file.replace(/\.trace$/, '').padEnd(8);
  const accesses = ((counts.fetches + counts.datas) / 1e6).toFixed(1);
  const cpus = programCpus(meta).length;
  const recorded = `${cpus} CPU, ${accesses} M accesses, ${count(counts.mmOps)} address-space changes (${source.format}, ${label.sha256.slice(0, 6)}..)`;
  return [
    `${name} ${origin(meta)} ${recorded}`,
    ...added.map((text, i) => `${' '.repeat(9)}${i === 0 ? 'added   ' : '        '}  ${text}`),
  ];
}

function cells({ cost, safety }: RunResult): string {
  const columns = [
    cost.invalidations_per_page.toFixed(2).padStart(6),
    `${micro(cost.added_per_page_ns)} us`.padStart(9),
    cost.vs_baseline.toFixed(2).padStart(5),
    `${micro(cost.lock_hold_ns.p99)} us`.padStart(10),
    `${(cost.lock_wait_ns / 1e6).toFixed(2)} ms`.padStart(12),
    count(safety.stale_uses).padStart(6),
    `${micro(safety.window_ns.p99)} us`.padStart(9),
  ];
  return `${columns.join(' ')}   ${safety.verdict}`;
}

function micro(ns: number): string {
  return (ns / 1000).toFixed(2);
}
