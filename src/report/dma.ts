import type { RunResult } from '../model/result.ts';
import type { ComparisonView } from './compare.ts';
import { count } from './grid.ts';
import { screenRows } from './rows.ts';
import { compareSentences } from './sentences.ts';
import { origin } from './trace.ts';

const HEAD = [
  '     per page unmapped   domain flushes        stale entries     verdict on',
  'inval.    added     x    full   timer   used   late    open p99   this trace',
] as const;

/** What a recording has, over the table. */
export function dmaIntro({ label, meta }: ComparisonView): string[] {
  const { counts, source, agents } = meta;
  const cpus = agents.filter((agent) => agent.kind === 'cpu').length;
  return [
    `${label.file.replace(/\.trace$/, '')}`,
    `         ${origin(meta)} ${cpus} CPU, ${agents.length - cpus} devices, ${count(counts.dma)} device accesses (${source.format}, ${label.sha256.slice(0, 6)}..)`,
    `                   ${count(counts.maps)} mappings, ${count(counts.unmaps)} unmaps`,
  ];
}

/** The first screen of a comparison on a DMA recording: at most 100 columns. */
export function dmaText(view: ComparisonView): string {
  const { results, skipped, same } = view;
  const lines = [...dmaIntro(view), ...screenRows(results, same, HEAD, cells)];
  for (const { policy, machine: on, why } of skipped) lines.push(`left out   ${policy} on ${on}: ${why}`);
  lines.push(...compareSentences(view));
  return `${lines.join('\n')}\n`;
}

function cells({ cost, safety }: RunResult): string {
  const { fq_flush_full: full, fq_flush_timer: timer } = cost.invalidations;
  const columns = [
    cost.invalidations_per_page.toFixed(2).padStart(6),
    `${micro(cost.added_per_page_ns)} us`.padStart(8),
    cost.vs_baseline.toFixed(2).padStart(5),
    count(full!).padStart(7),
    count(timer!).padStart(7),
    count(safety.stale_uses).padStart(6),
    count(safety.violations.S1!).padStart(6),
    `${micro(safety.window_ns.p99)} us`.padStart(11),
  ];
  return `${columns.join(' ')}   ${safety.verdict}`;
}

function micro(ns: number): string {
  return (ns / 1000).toFixed(2);
}
