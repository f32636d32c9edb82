import { readFileSync } from 'node:fs';
import { parseCache, type TlbConfig } from '../src/model/tlb.ts';

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

/** All rows. */
export function goldenRows(): GoldenRow[] {
  const text = readFileSync(new URL('../traces/outside/golden-tlb.tsv', import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => (line.startsWith('DR ') ? dynamoRow(line) : rowOf(line)));
}

function rowOf(text: string): GoldenRow {
  const [first, ...cells] = text.split('\t') as [string, ...string[]];
  const [, invalidate, name, data] = /^(?:INV (\S+): )?(\w+)(\.d)?\.bin$/.exec(first)!;
  const named = Object.fromEntries(cells.flatMap((cell) => (cell.includes('=') ? [cell.split('=')] : [])));
  const cache = (geometry: string) => parseCache(`${geometry} ${cells.includes('FIFO') ? 'fifo' : 'lru'}`, text);
  const { L1 = '16x4', L2 = '128x12', shift = '12', split = '1', ...rest } = named as Record<string, string>;
  return {
    text,
    trace: TRACES[name!]!,
    config: {
      l1d: cache(L1),
      l1i: cache(L1),
      l2: cache(L2),
      seed: 1,
      pageShift: Number(shift),
      dataOnly: data !== undefined,
      straddle: split === '1' ? 'both' : 'one',
      invalidate: (invalidate ?? 'none') as TlbConfig['invalidate'],
    },
    expected: Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, Number(value)])),
  };
}

/** `DR sqlite.d.bin  32/32+1024/4 LFU n=.. L1I hit=.. miss=.. L1D hit=.. miss=.. LL hit=.. miss=..` */
function dynamoRow(text: string): GoldenRow {
  const [, name, data] = /^DR (\w+)(\.d)?\.bin /.exec(text)!;
  const level = (of: string): [number, number] => {
    const [, hits, misses] = new RegExp(`${of} hit=(\\d+) miss=(\\d+)`).exec(text)!.map(Number) as [
      number,
      number,
      number,
    ];
    return [hits + misses, misses];
  };
  const [[I_acc, I_miss], [D_acc, D_miss], [L2_acc, L2_miss]] = [level('L1I'), level('L1D'), level('LL')];
  const first = parseCache('1x32 lfu', text);
  return {
    text,
    trace: TRACES[name!]!,
    config: {
      l1d: first,
      l1i: first,
      l2: parseCache('256x4 lfu', text),
      seed: 1,
      pageShift: 12,
      dataOnly: data !== undefined,
      straddle: 'both',
      invalidate: 'none',
    },
    expected: { I_acc, I_miss, D_acc, D_miss, L2_acc, L2_miss },
  };
}
