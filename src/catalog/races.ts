import { readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../model/errors.ts';
import { nearText, quote } from '../model/near.ts';
import { parseRace, type Race } from '../model/race.ts';
import { type FileKind, MAX_FILE_BYTES, readText } from './file.ts';

/** The shipped races, beside `dist` and `src` alike. */
const SHIPPED = fileURLToPath(new URL('../../traces/races/', import.meta.url));
const ENDS = '.race';
const RACE_FILE: FileKind = { what: 'a race file', most: MAX_FILE_BYTES };

/** Names of the shipped races. */
export function shippedRaces(): string[] {
  return filesIn(SHIPPED).map((file) => basename(file, ENDS));
}

/** Name, properties and source of each shipped race. */
export function listRaces(): string[][] {
  return loadRaces(['all']).map(({ name, never, source }) => [name, never.join(' '), source]);
}

/** Races of files, of all `.race` files of folders, or shipped ones by name; `all` stands for these. Parsed ones are taken as they are. */
export function loadRaces(given: readonly (string | Race)[]): Race[] {
  const found = given.flatMap<string | Race>((one) => (typeof one === 'string' ? filesOf(one) : [one]));
  return [...new Set(found)].map((one) => (typeof one === 'string' ? raceOf(one) : one));
}

function raceOf(file: string): Race {
  const race = parseRace(readText(file, placeOf(file), RACE_FILE), placeOf(file));
  return resolve(file).startsWith(SHIPPED) ? race : { ...race, file };
}

function filesOf(given: string): string[] {
  if (given === 'all') return filesIn(SHIPPED);
  const stat = statSync(given, { throwIfNoEntry: false });
  if (stat?.isDirectory()) {
    const files = filesIn(given);
    if (files.length === 0) throw new UsageError(`${given}: no file that ends in ${ENDS}`);
    return files;
  }
  if (stat !== undefined || given.endsWith(ENDS)) return [given];
  const known = shippedRaces();
  if (!known.includes(given))
    throw new UsageError(
      `no race ${quote(given)}${nearText(given, known)}; expected a file, a folder, all, or one of ${known.join(', ')}`,
    );
  return [join(SHIPPED, given + ENDS)];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(ENDS))
    .sort()
    .map((file) => join(folder, file));
}

/** What a file is called in messages: shipped ones without their folder. */
function placeOf(file: string): string {
  return file.startsWith(SHIPPED) ? basename(file) : file;
}
