import { MAX_VPN } from '../../model/limits.ts';
import { Accesses, INFERRED, KINDS } from './accesses.ts';
import { type Layout, readRecords, type Window, windowOn } from './binary.ts';
import { ACCEPTED, type Importer, rejected } from './importer.ts';

/** u32 time, u64 object, u32 size, i64 number of the object's next request (from 1), packed. */
const SIZE = 24;
const [OBJECT, LENGTH, NEXT] = [4, 12, 16];
/** Pages of one request: 16 MiB. */
const MAX_PAGES = 4096;
const NEVER = [-1n, 2n ** 63n - 1n];
/** Requests that no trace reaches: what a next request is checked against. */
const MAX_REQUESTS = 2n ** 40n;

const TOO_LONG = rejected(`a request of at most ${MAX_PAGES} pages`);

const LAYOUT: Omit<Layout, 'take'> = {
  size: SIZE,
  expected: 'a request with a size and a next request, or none',
  plausible({ view }, at) {
    const next = view.getBigInt64(at + NEXT, true);
    return view.getUint32(at + LENGTH, true) > 0 && (NEVER.includes(next) || (next > 0n && next < MAX_REQUESTS));
  },
};

/** libCacheSim's binary traces of requests. */
export const oracleGeneral: Importer = {
  name: 'oracleGeneral',
  summary: 'libCacheSim oracleGeneral: 24-byte requests with their next use',
  source: 'https://github.com/1a1a11a/libCacheSim traceReader/customizedReader/oracle/oracleGeneralBin.h',

  /** Every request of the head is plausible, times do not fall, and the next use lies ahead. */
  sniff(head) {
    const window = windowOn(head);
    const requests = Math.floor(head.length / SIZE);
    let time = 0;
    for (let i = 0; i < requests; i++) {
      const at = i * SIZE;
      const now = window.view.getUint32(at, true);
      const next = window.view.getBigInt64(at + NEXT, true);
      const ahead = NEVER.includes(next) || next > BigInt(i + 1);
      if (!LAYOUT.plausible(window, at) || now < time || !ahead) return false;
      time = now;
    }
    return requests > 0;
  },

  async read(input, out, options) {
    const accesses = new Accesses(out);
    const agent = accesses.agent();
    const take = ({ view }: Window, at: number) => {
      // 45 bits are the page.
      const page = (view.getUint32(at + OBJECT + 4, true) & 0x1fff) * 2 ** 32 + view.getUint32(at + OBJECT, true);
      const pages = Math.ceil(view.getUint32(at + LENGTH, true) / 4096);
      if (pages > MAX_PAGES || page + pages > MAX_VPN) return TOO_LONG;
      for (let i = 0; i < pages; i++) accesses.add(agent, KINDS.read, { page: page + i, offset: 0 }, 1);
      return ACCEPTED;
    };
    const tally = await readRecords(input, options, { ...LAYOUT, take });
    const inferred = [
      'An object is a page, numbered by its id modulo 2^45, and the pages behind it as far as its size goes.',
      'Every request is a read by one CPU.',
      INFERRED.changes,
      'Time stamps and next requests are not used: no think time.',
    ];
    return { tally: tally.finish(), inferred };
  },
};
