import { wordsOf } from '../model/command.ts';

/** Columns of what is to be pasted into a mail. */
export const MAIL = 76;

/** Lines of at most `width` columns, broken at spaces; a word that is longer has a line of its own. */
export function wrap(text: string, width: number): string[] {
  return fill(text.split(' '), width);
}

function fill(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}

/** The words of a command in groups, each of an option and its values. */
function optionsOf(command: string): string[][] {
  const groups: string[][] = [[]];
  for (const word of wordsOf(command)) {
    if (word.startsWith('--')) groups.push([]);
    groups.at(-1)!.push(word);
  }
  return groups;
}

/** Lines of a command, broken before options where that will do; every line but the last ends in a backslash. */
export function wrapCommand(command: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of optionsOf(command).flatMap((words) => fill(words, width - 4))) {
    const last = lines.at(-1);
    if (last !== undefined && part.startsWith('--') && last.length + 1 + part.length <= width - 4)
      lines[lines.length - 1] = `${last} ${part}`;
    else lines.push(part);
  }
  return lines.map((line, i) => (i === 0 ? '' : '  ') + line + (i < lines.length - 1 ? ' \\' : ''));
}
