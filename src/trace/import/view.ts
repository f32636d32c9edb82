import { Accesses, INFERRED, KINDS } from './accesses.ts';
import { placeOf } from './address.ts';
import { type Fate, type Importer, ignored, linesOfHead, readLines, rejected } from './importer.ts';

/** Number of the record, number of the instruction, window and thread. */
const PREFIX = /^\s*\d+\s+\d+: W\d+\.T(\d+) ?/;
const ACCESS = /^(ifetch|read|write)\s+(\d+) byte\(s\) @ 0x([0-9a-f]{1,16})(?: |$)/;
/** Bytes of an instruction that are too many for one line. */
const ENCODING = /^(?:[0-9a-f]{2} ?)+$/;
const REST = ignored('rest of an encoding');
/** Records that are no access, by their first word, and why they are left out. A marker may lack its closing bracket. */
const OTHERS: readonly (readonly [begins: RegExp, fate: Fate])[] = [
  [/^<marker/, ignored('marker')],
  [/^(non-fetched|ifetch-no)\b/, ignored('instruction that is not fetched again')],
  [/^(iflush|dflush)/, ignored('cache flush')],
  [/^(pref|hw_?pref)/, ignored('prefetch')],
  [/^<(thread|end|window)/, ignored('begin or end of a thread or window')],
  [ENCODING, REST],
];
const HEADINGS = /^(\s*|-+|Output format:|<-+record#.*)$/;
const HEADING = ignored('heading');
const RESULTS = ignored('totals at the end');
const NO_RECORD = rejected('a record of the view tool');

/** The text that DynamoRIO's `drmemtrace -tool view` prints (on standard error). */
export const view: Importer = {
  name: 'drmemtrace-view',
  summary: 'DynamoRIO drmemtrace, printed by its view tool',
  source: 'DynamoRIO clients/drcachesim/tools/view.cpp',

  sniff: (head) =>
    linesOfHead(head).some((line) => PREFIX.test(line) && / W\d+\.T\d+ (<marker|\w+\s+\d+ byte)/.test(line)),

  async read(input, out, options) {
    const accesses = new Accesses(out);
    const threads = new Set<string>();
    let totals = false;
    const tally = await readLines(input, options, (text) => {
      if (text.startsWith('View tool results')) totals = true;
      if (totals) return RESULTS;
      const prefix = PREFIX.exec(text);
      if (!prefix) {
        if (HEADINGS.test(text)) return HEADING;
        return ENCODING.test(text.trim()) ? REST : NO_RECORD;
      }
      let details = text.slice(prefix[0].length);
      // The line of a new window has two.
      const second = PREFIX.exec(details);
      if (second) details = details.slice(second[0].length);
      const found = ACCESS.exec(details);
      if (!found) return OTHERS.find(([begins]) => begins.test(details.trim()))?.[1] ?? NO_RECORD;
      const [, name, size, address] = found as unknown as [string, 'ifetch' | 'read' | 'write', string, string];
      const thread = prefix[1]!;
      threads.add(thread);
      const kind = name === 'ifetch' ? KINDS.fetch : KINDS[name];
      return accesses.add(accesses.agent(`thread ${thread}`), kind, placeOf(address), Number(size));
    });
    const inferred: string[] = [
      `Threads (${threads.size} of them) are agents of one space, in the order in which they are printed.`,
      INFERRED.changes,
      'Time stamps are printed late: no think time.',
    ];
    return { tally: tally.finish(), inferred };
  },
};
