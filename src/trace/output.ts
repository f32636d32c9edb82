import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
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

/** Starts a file that is to stand at `path`. */
export function openOutput(path: string): OutputFile {
  const part = `${path}.${process.pid}.part`;
  const attempt = <T>(step: () => T): T => {
    try {
      return step();
    } catch (error) {
      throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
    }
  };
  if (existsSync(path) && !statSync(path).isFile()) throw new UsageError(`cannot write ${path}: it is not a file`);
  const fd = attempt(() => openSync(part, 'w'));
  const output: OutputFile = {
    write(bytes) {
      attempt(() => {
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      });
    },
    commit() {
      attempt(() => {
        fsyncSync(fd);
        renameSync(part, path);
      });
      unfinished.delete(output);
      closeSync(fd);
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
