/** A history file: one JSON record a line, appended and never rewritten. */
import { closeSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import historyShape from '../../build/validators/history.js';
import hostShape from '../../build/validators/host.js';
import { readText, shaped } from '../catalog/file.ts';
import { Interrupted, UsageError } from '../model/errors.ts';
import type { HistoryRecord, HostRecord, HostTimes, RunRecord } from '../model/history.ts';
import { quote } from '../model/near.ts';

/** Bytes of a history that are read: some hundred thousand runs. */
const MOST = 1 << 28;
const NEWLINE = 0x0a;
/** How long an append waits for those of others, and how often it looks. */
const LOCK_MS = 10_000;
const LOOK_MS = 20;

/** What a history file holds. `torn`: bytes behind its last newline, of an append that was cut short; they are left out. */
export interface History {
  readonly records: readonly HistoryRecord[];
  readonly torn: number;
}

/** Reads a history. A line that is no record is a UsageError with its number; a torn last one is told of. */
export function readHistory(path: string): History {
  const text = readText(path, path, { what: 'a history', most: MOST });
  const end = text.lastIndexOf('\n') + 1;
  const lines = text.slice(0, end).split('\n').slice(0, -1);
  return {
    records: lines.map((line, i) => parseRecord(line, `${path}:${i + 1}`)),
    torn: Buffer.byteLength(text.slice(end)),
  };
}

/** Host times of a file: one record a line, as a benchmark prints them. */
export function readHostTimes(path: string): HostTimes[] {
  const lines = readText(path, path, { what: 'host times, one JSON object a line', most: MOST }).trim().split('\n');
  return lines.map((line, i) => {
    const place = `${path}:${i + 1}`;
    return shaped<HostTimes>(parseLine(line, place), hostShape, place);
  });
}

function parseRecord(line: string, place: string): HistoryRecord {
  const record = parseLine<HistoryRecord>(line, place);
  if (record?.kind !== 'host') return shaped<RunRecord>(record, historyShape, place);
  if (record.commit === undefined) throw new UsageError(`${place}: commit is missing, expected it in a history`);
  return shaped<HostRecord>(record, hostShape, place);
}

function parseLine<T>(line: string, place: string): T {
  try {
    return JSON.parse(line) as T;
  } catch {
    throw new UsageError(`${place}: ${quote(line.slice(0, 40))} is not JSON, expected a record`);
  }
}

/**
 * Appends records with one write, so that two appends never mix; a lock file keeps them from reading each other's
 * halves. Behind a torn line nothing is written: whoever mends it decides what was lost.
 */
export async function appendHistory(
  path: string,
  records: readonly HistoryRecord[],
  signal?: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  const unlock = await lock(`${path}.lock`, signal);
  try {
    const fd = attempt(path, () => openSync(path, 'a+'));
    try {
      refuseTorn(path, fd);
      attempt(path, () => {
        const written = writeSync(fd, bytes);
        if (written !== bytes.length) throw Object.assign(new Error(), { code: `${written} of ${bytes.length} bytes` });
      });
    } finally {
      closeSync(fd);
    }
  } finally {
    unlock();
  }
}

function refuseTorn(path: string, fd: number): void {
  const { size } = statSync(path);
  const last = new Uint8Array(1);
  if (size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE)
    throw new UsageError(
      `${path}: its last line is torn: no newline ends it; end or remove that line, then record again`,
    );
}

/** Makes the file, which others wait for; what is returned removes it. */
async function lock(path: string, signal: AbortSignal | undefined): Promise<() => void> {
  for (let waited = 0; ; waited += LOOK_MS) {
    if (signal?.aborted) throw new Interrupted('interrupted');
    try {
      closeSync(openSync(path, 'wx'));
      return () => rmSync(path, { force: true });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Windows says EPERM of a file that is being removed.
      if (code !== 'EEXIST' && code !== 'EPERM') throw new UsageError(`cannot write ${path}: ${code}`);
    }
    if (waited >= LOCK_MS)
      throw new UsageError(`${path}: another append has not ended for ${LOCK_MS / 1000} s; remove it if there is none`);
    await wait(LOOK_MS);
  }
}

function attempt<T>(path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
