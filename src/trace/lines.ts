import { TraceError } from '../model/errors.ts';
import { MAX_LINE } from '../model/limits.ts';
import type { Input } from './input.ts';

/**
 * Gives the lines of a text input to `use`, without LF or CRLF, in order. A line longer than `most` is an error with its
 * number. Whether the last line ended in a newline.
 */
export async function eachLine(input: Input, use: (line: string) => void, most = MAX_LINE): Promise<boolean> {
  const decoder = new TextDecoder();
  const check = (length: number, line: number): void => {
    if (length > most) throw new TraceError(`${input.file}:${line}`, `is longer than ${most} characters`);
  };
  let rest = '';
  let number = 0;
  for await (const block of input.blocks()) {
    const text = rest + decoder.decode(block, { stream: true });
    let from = 0;
    for (let to = text.indexOf('\n'); to !== -1; to = text.indexOf('\n', from)) {
      check(to - from, ++number);
      use(text.charCodeAt(to - 1) === 13 && to > from ? text.slice(from, to - 1) : text.slice(from, to));
      from = to + 1;
    }
    rest = text.slice(from);
    check(rest.length, number + 1);
  }
  if (rest !== '') use(rest.endsWith('\r') ? rest.slice(0, -1) : rest);
  return rest === '';
}
