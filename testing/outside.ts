import { readFileSync } from 'node:fs';
import type { TlbConfig } from '../src/model/tlb.ts';

/** A row of traces/outside/golden-tlb.tsv: counts on which independent implementations agree. */
export interface GoldenRow {
  readonly text: string;
  /** Trace file, below traces/. */
  readonly trace: string;
  readonly config: TlbConfig;
  /** Its named numbers, such as `D_miss`. */
  readonly expected: Readonly<Record<string, number>>;
}

const TRACES: Record<string, string> = { sqlite: 'outside/sqlite.trace', redis: 'outside/redis.trace' };

/** Rows of LRU and FIFO geometries and of invalidation; rows of other replacement policies are counted, not read. */
export function goldenRows(): { rows: GoldenRow[]; others: number } {
  const text = readFileSync(new URL('../traces/outside/golden-tlb.tsv', import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const rows = lines.filter((line) => !line.startsWith('DR ')).map(rowOf);
  return { rows, others: lines.length - rows.length };
}

function rowOf(text: string): GoldenRow {
  const [first, ...cells] = text.split('\t') as [string, ...string[]];
  const [, invalidate, name, data] = /^(?:INV (\S+): )?(\w+)(\.d)?\.bin$/.exec(first)!;
  const named = Object.fromEntries(cells.flatMap((cell) => (cell.includes('=') ? [cell.split('=')] : [])));
  const geometry = (cell: string) => {
    const [sets, ways] = cell.split('x').map(Number) as [number, number];
    return { sets, ways };
  };
  const { L1 = '16x4', L2 = '128x12', shift = '12', split = '1', ...rest } = named as Record<string, string>;
  return {
    text,
    trace: TRACES[name!]!,
    config: {
      l1d: geometry(L1),
      l1i: geometry(L1),
      l2: geometry(L2),
      replacement: cells.includes('FIFO') ? 'fifo' : 'lru',
      pageShift: Number(shift),
      dataOnly: data !== undefined,
      straddle: split === '1' ? 'both' : 'one',
      invalidate: (invalidate ?? 'none') as TlbConfig['invalidate'],
    },
    expected: Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, Number(value)])),
  };
}
