import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** The folder of golden files, below the package. */
export const GOLDEN = 'traces/golden';

/** How an output is kept: `txt` is the table, the others are formats of the command line. */
export type Form = 'txt' | 'json' | 'csv' | 'md';

/** What computes the numbers of a command a second time: twins of the TLB loop, of the machine, of both replays. */
export type Twin = 'tlb' | 'machine' | 'dma' | 'order';

/** One command whose output is kept. */
export interface GoldenCase {
  /** Of the files, without `.FORM`. */
  readonly name: string;
  readonly words: readonly string[];
  readonly forms: readonly Form[];
  readonly twin?: Twin;
}

/** The cases of traces/golden/cases.yaml in the package at `root`. */
export function goldenCases(root: string): GoldenCase[] {
  const rows = parse(readFileSync(join(root, GOLDEN, 'cases.yaml'), 'utf8')) as (Omit<GoldenCase, 'words'> & {
    readonly command: string;
  })[];
  return rows.map(({ command, ...row }) => ({ ...row, words: command.split(' ').filter((word) => word !== '') }));
}

/** The golden file of a case in one form, below `root`. */
export function goldenFile(root: string, { name }: GoldenCase, form: Form): string {
  return join(root, GOLDEN, `${name}.${form}`);
}

/** Words of the command line that prints a case in one form. */
export function wordsOf({ words }: GoldenCase, form: Form): readonly string[] {
  return form === 'txt' ? words : [...words, '--format', form];
}
