/** The results of a sweep on disk: one file per job, there whole or not at all. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../model/errors.ts';
import type { SweepResult } from '../model/sweep.ts';
import { openOutput } from '../trace/output.ts';

const NAME = /^[0-9a-f]{64}\.json$/;
const LEFT = /^[0-9a-f]{64}\.(json|failed)\.\d+\.part$/;

/** A job that failed twice. */
export interface Failure {
  readonly hash: string;
  readonly reason: string;
}

/** The folder of a sweep. Several processes may work in it: what one has written, the others do not run again. */
export class Store {
  constructor(readonly folder: string) {}

  /** Makes the folder. */
  open(): void {
    try {
      mkdirSync(this.folder, { recursive: true });
    } catch (error) {
      throw new UsageError(`cannot make the folder ${this.folder}: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  /** Whether there is a folder yet. */
  exists(): boolean {
    return existsSync(this.folder);
  }

  /** Removes what a process that was killed had begun. Not to be called while another one works here. */
  clean(): void {
    for (const name of this.names()) if (LEFT.test(name)) rmSync(join(this.folder, name), { force: true });
  }

  /** Hashes of the jobs whose results are there. */
  done(): Set<string> {
    return new Set(this.names().flatMap((name) => (NAME.test(name) ? [name.slice(0, 64)] : [])));
  }

  has(hash: string): boolean {
    return existsSync(this.path(hash, 'json'));
  }

  write(result: SweepResult): void {
    this.put(this.path(result.hash, 'json'), `${JSON.stringify(result)}\n`);
    rmSync(this.path(result.hash, 'failed'), { force: true });
  }

  fail({ hash, reason }: Failure): void {
    this.put(this.path(hash, 'failed'), `${reason}\n`);
  }

  failures(): Failure[] {
    return this.names()
      .filter((name) => /^[0-9a-f]{64}\.failed$/.test(name))
      .map((name) => ({ hash: name.slice(0, 64), reason: readFileSync(join(this.folder, name), 'utf8').trimEnd() }));
  }

  /** The result of a job; a file that is not one is an error that names it. */
  read(hash: string): SweepResult {
    const path = this.path(hash, 'json');
    let result: Partial<SweepResult>;
    try {
      result = JSON.parse(readFileSync(path, 'utf8')) as Partial<SweepResult>;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new UsageError(
        `${path}: ${code ?? 'is not JSON'}, expected the result of a job; remove it to run it again`,
      );
    }
    if (result.format !== 1 || result.hash !== hash || result.run === undefined)
      throw new UsageError(`${path}: is not the result of the job it is named after; remove it to run it again`);
    return result as SweepResult;
  }

  private names(): string[] {
    try {
      return readdirSync(this.folder).sort();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new UsageError(
        `${this.folder}: ${code === 'ENOENT' ? 'no such folder' : code}, expected the results of a sweep`,
      );
    }
  }

  private path(hash: string, ends: string): string {
    return join(this.folder, `${hash}.${ends}`);
  }

  private put(path: string, text: string): void {
    const file = openOutput(path);
    try {
      file.write(new TextEncoder().encode(text));
      file.commit();
    } finally {
      file.discard();
    }
  }
}
