import type { Histogram, Lifetimes, Reuse, TraceProfile } from '../model/profile.ts';
import type { TraceMeta } from '../model/trace.ts';
import { count, percent } from './grid.ts';
import { origin, type TraceLabel } from './trace.ts';

/** Columns of the page, and of a bar. */
const WIDTH = 80;
const BAR = 34;
/** Sizes of fully associative LRU TLBs whose misses are shown: powers of two, as the ranges of distances end there. */
const TLBS = [16, 64, 512, 2048];
/** The first column. */
const NAME = 9;
/** Pages of 2 MiB. */
const BLOCK = 512;

/** What is in a trace, as a page of at most 80 columns. */
export function inspectText(label: TraceLabel, meta: TraceMeta, profile: TraceProfile): string {
  const { counts, source, agents, spaces, tally, inferred } = meta;
  const name = label.file.replace(/\.trace$/, '');
  const accesses = `${count(counts.fetches)} fetches, ${count(counts.datas)} data accesses`;
  const lines = [
    ...section(name, [
      `${origin(meta).trim()} (${source.format}): ${source.file}`,
      `sha256 ${label.sha256.slice(0, 32)}..`,
      `${names(agents)}; ${names(spaces)}`,
      `${count(counts.records)} records${meta.interleaved ? ', every access one' : ''}: ${
        counts.dma + counts.maps > 0 ? `${count(counts.dma)} device accesses` : accesses
      }`,
    ]),
    ...footprint(meta, profile),
    ...profile.reuse.flatMap(reuse),
    ...changes(profile),
    ...profile.lifetimes.flatMap(lifetimes),
    ...section('lines', [
      `${count(tally.lines)} read: ${count(tally.accepted)} accepted, ${count(tally.rejected)} rejected, ${count(tally.ignored)} ignored`,
      ...Object.entries(tally.rejections ?? {}).map(
        ([kind, { lines, first }]) => `rejected ${count(lines)}: not ${kind}; the first is line ${count(first)}`,
      ),
      ...Object.entries(tally.rules).map(([rule, n]) => `ignored ${count(n)}: ${rule}`),
    ]),
    ...section('inferred', inferred.length === 0 ? ['nothing'] : inferred),
  ];
  return `${lines.join('\n')}\n`;
}

/** The profile as JSON, with the ends of ranges. */
export function profileJson({ blocks, reuse, changes, mappingPages, lifetimes }: TraceProfile) {
  return {
    huge_page_use: ranges(blocks, 'pages'),
    reuse: reuse.map(({ of, accesses, first, distances }) => {
      return { of, accesses, first, distances: ranges(distances, 'accesses') };
    }),
    changes,
    mapping_pages: ranges(mappingPages, 'mappings'),
    lifetimes: lifetimes.map(({ of, unit, ended, open, spans }) => {
      return { of, unit, ended, open, spans: ranges(spans, 'mappings') };
    }),
  };
}

function ranges<K extends string>(cells: Histogram, what: K) {
  return cells.flatMap((n, i) => {
    const [least, most] = bounds(i);
    return n === 0 ? [] : [{ least, most, [what]: n } as { least: number; most: number } & Record<K, number>];
  });
}

/** The least and the most value of a range. */
function bounds(i: number): [number, number] {
  return i === 0 ? [0, 0] : [2 ** (i - 1), 2 ** i - 1];
}

function footprint({ counts }: TraceMeta, { blocks, mappingPages }: TraceProfile): string[] {
  const lines: string[] = [];
  if (counts.pages > 0) {
    const mib = ((counts.pages * 4) / 1024).toFixed(1);
    const head = `${count(counts.pages)} pages (${mib} MiB) in ${count(counts.tables)} page tables; by use of their 2 MiB:`;
    lines.push(...section('footprint', [head, ...chart(blocks, 'block')]));
  }
  if (counts.maps > 0) {
    const head = `${count(counts.maps)} DMA mappings, ${count(counts.unmaps)} unmaps; by pages of a mapping:`;
    lines.push(...section('mappings', [head, ...chart(mappingPages)]));
  }
  return lines;
}

const KINDS = { data: 'data accesses', fetch: 'instruction fetches', device: 'device accesses' } as const;

function reuse({ of, accesses, first, distances }: Reuse): string[] {
  const misses = TLBS.map((size) => {
    const far = distances.reduce((sum, n, i) => (bounds(i)[0] >= size ? sum + n : sum), first);
    return `${count(size)}: ${percent(far, accesses)}`;
  });
  return section('reuse', [
    `${KINDS[of]} by other pages used since the last use of theirs:`,
    ...chart(distances, '', accesses),
    `first use ${percent(first, accesses)}; misses of one LRU set of ${misses.join(', ')}`,
  ]);
}

function changes({ changes }: TraceProfile): string[] {
  if (changes.length === 0) return [];
  const wide = Math.max(...changes.map(({ event }) => event.length));
  const rows = changes.map(({ event, count: n, pages }) => {
    return `${event.padEnd(wide)} ${count(n).padStart(11)}${pages > 0 ? `  of ${count(pages)} pages` : ''}`;
  });
  return section('changes', rows);
}

function lifetimes({ of, unit, ended, open, spans }: Lifetimes): string[] {
  const what = of === 'mmap' ? 'mmaps by CPU accesses until they went' : `mappings by ${SPANS[unit]}`;
  const left = open > 0 ? `; ${count(open)} have no end here` : '';
  return section('lifetime', [`${count(ended)} ${what}${left}`, ...chart(spans, unit === 'ns' ? 'ns' : '')]);
}

const SPANS = {
  accesses: 'CPU accesses',
  ns: 'time from map to unmap, on one CPU',
  'device accesses': 'how often a device used them',
} as const;

/** A bar for each range from the first to the last in use; `...` where several are empty. */
function chart(cells: Histogram, unit = '', total = cells.reduce((sum, n) => sum + n, 0)): string[] {
  const most = Math.max(...cells);
  const labels = cells.map((n, i) => (n === 0 ? '' : label(bounds(i), unit)));
  const wide = Math.max(...labels.map((text) => text.length));
  const lines: string[] = [];
  cells.forEach((n, i) => {
    const bar = '#'.repeat(Math.max(1, Math.round((n / most) * BAR)));
    if (n > 0) lines.push(`${labels[i]!.padStart(wide)} ${`${((n / total) * 100).toFixed(1)} %`.padStart(7)} ${bar}`);
    else if (lines.length > 0 && lines.at(-1) !== GAP) lines.push(GAP);
  });
  return lines;
}
const GAP = '...';

function label([least, most]: [number, number], unit: string): string {
  if (unit === 'ns' && least >= 1) return `${time(least)}..${time(most + 1)}`;
  if (unit === 'block' && least === BLOCK) return 'all';
  return least === most ? `${least}` : `${count(least)}..${count(most)}`;
}

/** Nanoseconds in a unit that keeps them short. */
function time(ns: number): string {
  const [size, unit] = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'us'],
    [1, 'ns'],
  ].find(([size]) => ns >= (size as number)) as [number, string];
  return `${(ns / size).toPrecision(3).replace(/\.?0+$/, '')} ${unit}`;
}

function names(list: readonly { readonly name: string; readonly kind: string }[]): string {
  const shown = list.slice(0, 8).map(({ name, kind }) => `${name} (${kind})`);
  return shown.join(', ') + (list.length > shown.length ? ` and ${list.length - shown.length} more` : '');
}

/** Lines behind a name, folded at the width of the page. */
function section(name: string, lines: readonly string[]): string[] {
  const head = name.length > NAME ? [name] : [];
  const folded = lines.flatMap((line) => fold(line, WIDTH - NAME - 2));
  return [...head, ...folded.map((line, i) => `${(i === 0 && head.length === 0 ? name : '').padEnd(NAME)}  ${line}`)];
}

function fold(line: string, width: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const at = rest.lastIndexOf(' ', width);
    const cut = at > 0 ? at : width;
    lines.push(rest.slice(0, cut));
    rest = `  ${rest.slice(cut).trimStart()}`;
  }
  return [...lines, rest];
}
