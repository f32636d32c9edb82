import { TraceError } from '../../model/errors.ts';
import { Accesses, INFERRED, KINDS } from './accesses.ts';
import { placeOf } from './address.ts';
import { type Importer, ignored, linesOfHead, readLines, rejected } from './importer.ts';

/** Label, address, and what may follow. */
const LINE = /^\s*([0-4])\s+(?:0x)?([0-9a-f]{1,16})(?:\s+(\S.*))?$/i;
const NUMBERS = /^\d+(?:\s+\d+)*\s*$/;
const LABELS = [KINDS.read, KINDS.write, KINDS.fetch];

const EMPTY = ignored('empty line');
const UNKNOWN = ignored('access of unknown kind');
const FLUSH = ignored('cache flush: an escape of the cache simulator');
const NO_RECORD = rejected('a din record');

/** Dinero's `din` input: label 0 read, 1 write, 2 instruction fetch, 3 unknown, 4 cache flush; hexadecimal address. */
export const din: Importer = {
  name: 'din',
  summary: 'Dinero din: label and hexadecimal address',
  source: 'http://www.computing.surrey.ac.uk/personal/st/R.Peel/cs250/din-format.html',

  sniff(head) {
    const lines = linesOfHead(head).filter((line) => line.trim() !== '');
    return lines.filter((line) => LINE.test(line)).length > lines.length * 0.9;
  },

  async read(input, out, options) {
    const accesses = new Accesses(out);
    const agent = accesses.agent();
    const tally = await readLines(input, options, (text) => {
      const found = LINE.exec(text);
      if (!found) return text.trim() === '' ? EMPTY : NO_RECORD;
      const [, label, address, rest] = found as unknown as [string, string, string, string | undefined];
      if (rest !== undefined && NUMBERS.test(rest)) {
        throw new TraceError(
          input.file,
          `has a third column of numbers (${JSON.stringify(text.slice(0, 40))}): a variant of din for several cores; give its first two columns`,
        );
      }
      const kind = LABELS[Number(label)];
      if (kind === undefined) return label === '3' ? UNKNOWN : FLUSH;
      return accesses.add(agent, kind, placeOf(address), 1);
    });
    return {
      tally: tally.finish(),
      inferred: [INFERRED.threads, INFERRED.sizes, INFERRED.changes, INFERRED.time],
    };
  },
};
