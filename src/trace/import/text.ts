import { eachLine } from '../lines.ts';
import { TEXT_MAGIC, TextReader } from '../text.ts';
import type { Importer } from './importer.ts';

/** Characters of a line: `tally` and `inferred` of many sentences are one each. */
const MAX_TEXT_LINE = 1 << 20;

/** iommulator's own text form; import and export are inverse to each other, byte for byte. */
export const text: Importer = {
  name: 'text',
  summary: 'iommulator trace text, as written by `export`',
  source: 'traces/FORMAT.md',
  sniff: (head) => new TextDecoder('latin1').decode(head.subarray(0, TEXT_MAGIC.length)) === TEXT_MAGIC,
  async read(input, out) {
    const reader = new TextReader(input.file, out);
    await eachLine(input, (line) => reader.read(line), MAX_TEXT_LINE);
    return reader.finish();
  },
};
