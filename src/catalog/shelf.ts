/** The catalog's files by their names, those of users by their paths, and how one builds on another. */
import { shelves } from '../../build/catalog.js';
import { UsageError } from '../model/errors.ts';
import { nearText, quote } from '../model/near.ts';
import { beside, readText } from './file.ts';

/** What one file of a kind is called in messages. */
const ONE = { policies: 'policy', machines: 'machine', cpus: 'CPU' } as const;
/** A kind of files that have names. */
export type Shelf = keyof typeof ONE;

/** Names on a shelf, in the order of the alphabet. */
export function namesOn(shelf: Shelf): string[] {
  return Object.keys(shelves[shelf]).sort();
}

/** An object in the form of a file that has a name. */
export interface Named {
  readonly name?: unknown;
}

/** A name or path as it is given; of an object, its name. */
export function labelOf(given: string | Named): string {
  if (typeof given === 'string') return given;
  return typeof given.name === 'string' ? given.name : 'without a name';
}

const isPath = (nameOrPath: string): boolean => /[/\\]|\.(ya?ml|json)$/i.test(nameOrPath);

/** What the file of a name or a path, or an object in its form, is called in messages. */
export function placeOf(shelf: Shelf, given: string | Named): string {
  return typeof given === 'string' ? fileOf(shelf, given) : `${ONE[shelf]} ${labelOf(given)}`;
}

function fileOf(shelf: Shelf, nameOrPath: string): string {
  return isPath(nameOrPath) ? nameOrPath : `${shelf}/${nameOrPath}.yaml`;
}

/** Text of a name or of a path. */
export function textOf(shelf: Shelf, nameOrPath: string): string {
  const place = placeOf(shelf, nameOrPath);
  if (isPath(nameOrPath)) return readText(nameOrPath, place);
  const known = namesOn(shelf);
  if (!known.includes(nameOrPath)) {
    const many = `${known.join(', ')}, or a file that ends in .yaml`;
    throw new UsageError(
      `no ${ONE[shelf]} ${quote(nameOrPath)}${nearText(nameOrPath, known)}; expected one of ${many}`,
    );
  }
  return shelves[shelf][nameOrPath]!;
}

const MAX_CHAIN = 8;

/** A file that another names, as a name or a path from here: a path in a file is seen from that file. */
export function namedFrom(from: string | Named, named: string): string {
  return typeof from === 'string' && isPath(from) && isPath(named) ? beside(from, named) : named;
}

/** Refuses a file that builds on itself, or on too many others. `chain`: those that lead here. */
export function checkChain(given: string | Named, chain: readonly string[]): void {
  if (typeof given === 'string' && chain.includes(given))
    throw new UsageError(`${chain[0]}: extends itself: ${[...chain, given].join(' -> ')}`);
  if (chain.length > MAX_CHAIN) throw new UsageError(`${chain[0]}: extends through more than ${MAX_CHAIN} files`);
}
