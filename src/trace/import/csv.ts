import { TraceError } from '../../model/errors.ts';
import { MAX_VPN } from '../../model/limits.ts';
import { Accesses, INFERRED, KINDS } from './accesses.ts';
import { type Place, pagesBehind } from './address.ts';
import { type Fate, type Importer, ignored, linesOfHead, readLines, rejected } from './importer.ts';

/** Where a request stands in a line: numbers of columns from 0. `unit`: bytes that one of `id` stands for. */
interface Columns {
  readonly delimiter: string;
  readonly id: number;
  readonly unit: number;
  readonly size: number | undefined;
  readonly op: number | undefined;
  readonly agent: number | undefined;
  readonly heading: boolean;
}

/** Names of columns in headings of cache and block traces; the first that is there counts. */
const IDS: readonly (readonly [names: RegExp, unit: number])[] = [
  [/^(obj(ect)?[_-]?id|id|key|page)$/, 4096],
  [/^(address|addr|offset|offset_?bytes|offsetbytes)$/, 1],
  [/^(lba|block|sector)$/, 512],
];
const SIZES = /^(obj(ect)?[_-]?size|size|length|len|bytes|request_?size)$/;
const OPS = /^(op|operation|type|rw|opcode|cmd)$/;
const AGENTS = /^agent$/;
const DELIMITERS = [',', '\t', ';', '|'];
/** MSR Cambridge block traces, which have no heading: timestamp, host, disk, type, offset, size, response time. */
const MSR = /^\d+,\w+,\d+,(?:Read|Write),\d+,\d+,\d+$/i;
/** time, object, size: the order of oracleGeneral, where no heading says otherwise. */
const PLAIN = { delimiter: ',', id: 1, unit: 4096, size: 2, op: undefined, agent: undefined, heading: false };

const EMPTY = ignored('empty line');
const HEADING = ignored('heading');
const NO_RECORD = rejected('a line of the columns of the heading');

/** Request traces as comma-separated values, as libCacheSim reads them: an object or an address, a size, an operation. */
export const csv: Importer = {
  name: 'csv',
  summary: 'requests as CSV: libCacheSim, MSR Cambridge, or any heading with an id or offset',
  source: 'https://github.com/1a1a11a/libCacheSim doc/quickstart_cachesim.md',

  sniff: (head) => columnsOf(linesOfHead(head)) !== undefined,

  async read(input, out, options) {
    const accesses = new Accesses(out);
    let columns: Columns | undefined;
    let hashed = 0;
    const request = (text: string, { delimiter, id, unit, size, op, agent }: Columns): Fate => {
      const fields = text.split(delimiter).map((field) => field.trim().replace(/^"(.*)"$/, '$1'));
      const name = fields[id];
      const bytes = size === undefined ? 1 : Number(fields[size]);
      if (name === undefined || name === '' || !Number.isInteger(bytes)) return NO_RECORD;
      const number = /^\d{1,20}$/.test(name);
      if (!number && unit !== 4096) return NO_RECORD;
      if (!number) hashed++;
      const place = number ? placeAt(name, unit) : { page: hash(name), offset: 0 };
      const who = agent === undefined ? undefined : fields[agent];
      const kind = op === undefined ? KINDS.read : kindOf(fields[op] ?? '');
      return large(accesses, accesses.agent(who), kind, place, Math.max(1, bytes));
    };
    const tally = await readLines(input, options, (text) => {
      if (text.trim() === '') return EMPTY;
      if (columns === undefined) {
        columns = columnsOf([text]) ?? PLAIN;
        if (columns.heading) return HEADING;
      }
      return request(text, columns);
    });
    if (!columns) throw new TraceError(input.file, 'holds no record');
    const { unit, op, agent, heading } = columns;
    const inferred: string[] = [
      unit === 4096
        ? 'An object is a page, numbered by its id modulo 2^45, and the pages behind it as far as its size goes.'
        : `A request is an access to the pages that it covers; a unit of its address is ${unit} bytes.`,
      op === undefined
        ? 'Every request is a read.'
        : 'Requests are reads but those whose operation says write, set, delete or fetch.',
      agent === undefined ? 'Requests are accesses of one CPU.' : 'Agents are CPUs of one address space.',
      INFERRED.changes,
      'Time stamps are not used: no think time.',
    ];
    if (!heading) inferred.push('There is no heading: the columns were told from the layout of the first line.');
    if (hashed > 0) inferred.push(`${hashed} ids are no numbers: a hash of them is the page number.`);
    return { tally: tally.finish(), inferred };
  },
};

function columnsOf([first = '']: readonly string[]): Columns | undefined {
  if (MSR.test(first)) return { delimiter: ',', id: 4, unit: 1, size: 5, op: 3, agent: undefined, heading: false };
  for (const delimiter of DELIMITERS) {
    const names = first.split(delimiter).map((name) =>
      name
        .trim()
        .replace(/^[#"]+|"$/g, '')
        .toLowerCase(),
    );
    if (names.length < 2) continue;
    for (const [id, unit] of IDS) {
      const at = names.findIndex((name) => id.test(name));
      if (at < 0) continue;
      const find = (wanted: RegExp): number | undefined => {
        const found = names.findIndex((name) => wanted.test(name));
        return found < 0 ? undefined : found;
      };
      return { delimiter, id: at, unit, size: find(SIZES), op: find(OPS), agent: find(AGENTS), heading: true };
    }
  }
  return undefined;
}

function kindOf(op: string): number {
  if (/^(w|set|put|add|update|delete|1)/i.test(op)) return KINDS.write;
  return /^i?fetch$/i.test(op) ? KINDS.fetch : KINDS.read;
}

/** One access where it fits, else one a page. */
function large(accesses: Accesses, agent: number, kind: number, place: Place, bytes: number): Fate {
  const { page, offset } = place;
  const pages = Math.ceil((offset + bytes) / 4096);
  if (pages > MAX_PAGES || page + pages > MAX_VPN) return rejected(`a request of at most ${MAX_PAGES} pages`);
  if (pages === 1 || pagesBehind(place, bytes) === 0) return accesses.add(agent, kind, place, 1);
  let fate = accesses.add(agent, kind, place, 1);
  for (let i = 1; i < pages; i++) fate = accesses.add(agent, kind, { page: page + i, offset: 0 }, 1);
  return fate;
}

/** Pages of one request: 16 MiB. */
const MAX_PAGES = 4096;

/** Where the unit `number` lies; ids wrap at 2^45 pages. */
function placeAt(number: string, unit: number): Place {
  const bytes = BigInt(number) * BigInt(unit);
  return { page: Number((bytes >> 12n) & BigInt(MAX_VPN)), offset: Number(bytes & 0xfffn) };
}

/** FNV-1a, folded to 45 bits. */
function hash(text: string): number {
  let low = 0x811c_9dc5;
  let high = 0x1234_5678;
  for (let i = 0; i < text.length; i++) {
    low = Math.imul(low ^ text.charCodeAt(i), 0x0100_0193) >>> 0;
    high = Math.imul(high ^ text.charCodeAt(i) ^ low, 0x0100_0193) >>> 0;
  }
  return (high & 0x1fff) * 2 ** 32 + low;
}
