import { Accesses, INFERRED, KINDS } from './accesses.ts';
import { placeOf } from './address.ts';
import { type Importer, ignored, linesOfHead, readLines, rejected } from './importer.ts';

/** Instruction pointer, direction, address, and in local variants the size. `%p` prints 0 as `(nil)` on Linux. */
const LINE = /^(?:0x)?([0-9a-f]{1,16}|\(nil\)): ([RW]) (?:0x)?([0-9a-f]{1,16}|\(nil\))(?:\s+(\d{1,6}))?\s*$/i;

const EMPTY = ignored('empty line');
const TRAILER = ignored('trailer');
const NO_RECORD = rejected('a pinatrace record');

/** Pin's example tool `pinatrace`: one line per memory operand of an executed instruction. */
export const pinatrace: Importer = {
  name: 'pinatrace',
  summary: 'Pin pinatrace: instruction pointer, R or W, address',
  source: 'Pin 3 source/tools/ManualExamples/pinatrace.cpp',

  sniff(head) {
    const lines = linesOfHead(head).filter((line) => line.trim() !== '' && line !== '#eof');
    return lines.filter((line) => LINE.test(line)).length > lines.length * 0.9;
  },

  async read(input, out, options) {
    const accesses = new Accesses(out);
    const agent = accesses.agent();
    let sizes = 0;
    let ended = false;
    const tally = await readLines(input, options, (text) => {
      const found = LINE.exec(text);
      if (!found) {
        if (text !== '#eof') return text.trim() === '' ? EMPTY : NO_RECORD;
        ended = true;
        return TRAILER;
      }
      const [, ip, direction, address, size] = found as unknown as [string, string, string, string, string | undefined];
      if (size !== undefined) sizes++;
      const fetched = accesses.fetchAt(agent, placeOf(nil(ip)));
      if (fetched.fate === 'rejected') return fetched;
      return accesses.add(
        agent,
        /r/i.test(direction) ? KINDS.read : KINDS.write,
        placeOf(nil(address)),
        Number(size ?? 1),
      );
    });
    const inferred: string[] = [
      INFERRED.threads,
      'An instruction is fetched where the instruction pointer changes; instructions without a memory operand are not in the recording.',
      ...(sizes === 0 ? [INFERRED.sizes] : []),
      INFERRED.changes,
      INFERRED.time,
    ];
    if (!ended) inferred.push('The recording does not end in #eof: its end is missing.');
    return { tally: tally.finish(), inferred };
  },
};

function nil(address: string): string {
  return address === '(nil)' ? '0' : address;
}
