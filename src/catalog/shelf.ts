/** Where the catalog's files lie, how one is named, and how one builds on another. */
import { readdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../model/errors.ts';
import { nearText, quote } from '../model/near.ts';
import { CATALOG, readText } from './file.ts';

/** Files of one kind: where they lie, and what one is called in messages. */
const SHELVES = {
  policies: { folder: 'policies/', one: 'policy' },
  machines: { folder: 'machines/', one: 'machine' },
  cpus: { folder: 'cpus/', one: 'CPU' },
} as const;
/** A kind of files that have names. */
export type Shelf = keyof typeof SHELVES;

/** Names on a shelf, in the order of the alphabet. */
export function namesOn(shelf: Shelf): string[] {
  const files = readdirSync(new URL(SHELVES[shelf].folder, CATALOG)).filter((file) => file.endsWith('.yaml'));
  return files.map((file) => file.slice(0, -'.yaml'.length)).sort();
}

const isPath = (nameOrPath: string): boolean => /[/\\]|\.(ya?ml|json)$/i.test(nameOrPath);

/** What the file of a name or a path is called in messages. */
export function placeOf(shelf: Shelf, nameOrPath: string): string {
  return isPath(nameOrPath) ? nameOrPath : `${SHELVES[shelf].folder}${nameOrPath}.yaml`;
}

/** Text of a name or of a path. */
export function textOf(shelf: Shelf, nameOrPath: string): string {
  const place = placeOf(shelf, nameOrPath);
  if (isPath(nameOrPath)) return readText(nameOrPath, place);
  const { one } = SHELVES[shelf];
  const known = namesOn(shelf);
  if (!known.includes(nameOrPath)) {
    const many = `${known.join(', ')}, or a file that ends in .yaml`;
    throw new UsageError(`no ${one} ${quote(nameOrPath)}${nearText(nameOrPath, known)}; expected one of ${many}`);
  }
  return readText(new URL(place, CATALOG), place);
}

const MAX_CHAIN = 8;

/** A file that another names, as a name or a path from here: a path in a file is seen from that file. */
export function namedFrom(from: string, named: string): string {
  return isPath(from) && isPath(named) ? resolve(dirname(from), named) : named;
}

/** Refuses a file that builds on itself, or on too many others. `chain`: those that lead here. */
export function checkChain(nameOrPath: string, chain: readonly string[]): void {
  if (chain.includes(nameOrPath))
    throw new UsageError(`${chain[0]}: extends itself: ${[...chain, nameOrPath].join(' -> ')}`);
  if (chain.length > MAX_CHAIN) throw new UsageError(`${chain[0]}: extends through more than ${MAX_CHAIN} files`);
}
