import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { UsageError } from '../model/errors.ts';
import type { ByteSink } from './writer.ts';

/** A file that appears whole or not at all: written beside its place and renamed at `commit`. */
export interface OutputFile extends ByteSink {
  /** The file is complete: put it in its place. */
  commit(): void;
  /** Leaves nothing behind. Harmless after `commit`. */
  discard(): void;
}

const unfinished = new Set<OutputFile>();

export function openOutput(path: string): OutputFile {
  const part = `${path}.${process.pid}.part`;
  let fd: number;
  try {
    fd = openSync(part, 'w');
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const output: OutputFile = {
    write(bytes) {
      try {
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      } catch (error) {
        throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
      }
    },
    commit() {
      fsyncSync(fd);
      closeSync(fd);
      unfinished.delete(output);
      renameSync(part, path);
    },
    discard() {
      if (!unfinished.delete(output)) return;
      closeSync(fd);
      rmSync(part, { force: true });
    },
  };
  unfinished.add(output);
  return output;
}

/** Removes every file that is not complete: for the way out after an interrupt. */
export function discardUnfinished(): void {
  for (const output of [...unfinished]) output.discard();
}
