import type { TraceResult } from '../model/result.ts';
import type { TraceMeta } from '../model/trace.ts';
import { count, type Grid } from './grid.ts';

/** What identifies a trace in every result. */
export interface TraceLabel {
  readonly file: string;
  readonly sha256: string;
}

/** The `trace` object of a result. */
export function traceResult(label: TraceLabel, meta: TraceMeta): TraceResult {
  const { counts } = meta;
  return {
    ...label,
    agents: meta.agents.length,
    accesses: counts.fetches + counts.datas,
    dma: counts.dma,
    maps: counts.maps,
    unmaps: counts.unmaps,
    mm_ops: counts.mmOps,
    added: [],
    inferred: [...meta.inferred],
    rejected: meta.tally.rejected,
  };
}

/** Whether a trace was recorded, in nine characters. */
export function origin({ source, schedule }: TraceMeta): string {
  if (schedule !== undefined) return 'scheduled';
  return source.format === 'gen' ? 'generated' : 'recorded ';
}

/** What is in a trace, as rows of name and value. */
export function traceGrid(label: TraceLabel, meta: TraceMeta): Grid {
  const { counts, tally } = meta;
  const rows: string[][] = [
    ['file', label.file],
    ['sha256', label.sha256],
    ['source', `${meta.source.file} (${meta.source.format})`],
    ['agents', meta.agents.map((agent) => `${agent.name} (${agent.kind})`).join(', ')],
    ['spaces', meta.spaces.map((space) => `${space.name} (${space.kind})`).join(', ')],
    ['records', count(counts.records)],
    ['instruction fetches', `${count(counts.fetches)} (${count(counts.straddledFetches)} second halves)`],
    ['data accesses', `${count(counts.datas)} (${count(counts.straddledDatas)} second halves)`],
    ['device accesses', count(counts.dma)],
    ['mappings', `${count(counts.maps)} mapped, ${count(counts.unmaps)} unmapped`],
    ['address-space changes', count(counts.mmOps)],
    ['pages', `${count(counts.pages)} in ${count(counts.tables)} page tables`],
    [
      'lines',
      `${count(tally.lines)} read, ${count(tally.accepted)} accepted, ${count(tally.rejected)} rejected, ${count(tally.ignored)} ignored`,
    ],
    ...Object.entries(tally.rejections ?? {}).map(([kind, { lines, first }]) => [
      'rejected',
      `${count(lines)} x not ${kind}, first line ${count(first)}`,
    ]),
    ...Object.entries(tally.rules).map(([rule, n]) => ['ignored', `${count(n)} x ${rule}`]),
    ...meta.inferred.map((sentence) => ['inferred', sentence]),
  ];
  return { columns: ['what', 'value'], rows };
}

/** What an import came to, in one line. */
export function importNote({ tally, counts }: TraceMeta): string {
  const accesses = `${count(counts.fetches + counts.datas + counts.dma)} accesses in ${count(counts.records)} records`;
  const fates = `${count(tally.accepted)} accepted, ${count(tally.rejected)} rejected, ${count(tally.ignored)} ignored`;
  return `${accesses}; ${count(tally.lines)} lines: ${fates}`;
}

/** What a generator made, in one line, and what to do with it. */
export function generatedNote({ counts }: TraceMeta, file: string, options?: string): string {
  const accesses = `${count(counts.fetches + counts.datas + counts.dma)} accesses in ${count(counts.records)} records`;
  const changes = counts.maps > 0 ? counts.unmaps : counts.mmOps;
  const made = `${accesses}, ${count(changes)} ${counts.maps > 0 ? 'unmaps' : 'address-space changes'}`;
  return `${made}; next: iommulator compare ${file}${options === undefined ? '' : ` ${options}`}`;
}
