import { availableParallelism } from 'node:os';
import type { Piscina } from 'piscina';

/** Workers if nothing else is said. */
export const allCores = availableParallelism;

/** Worker threads that all run one file; they start with the first task. */
export class Threads {
  private pool: Promise<Piscina> | undefined;

  /** `file`: a module whose default export takes a task and gives its reply. */
  constructor(
    private readonly file: URL,
    private readonly workers: number = allCores(),
  ) {}

  /** The reply of whichever thread is free. */
  async run<Task, Reply>(task: Task): Promise<Reply> {
    const { workers } = this;
    this.pool ??= import('piscina').then(
      ({ Piscina }) => new Piscina({ filename: this.file.href, minThreads: workers, maxThreads: workers }),
    );
    return (await (await this.pool).run(task)) as Reply;
  }

  /** Ends the threads, whatever they are doing. */
  async end(): Promise<void> {
    const pool = await this.pool;
    // A reply that is on its way when its thread ends is an error to the pool; nobody waits for it any more.
    pool?.on('error', () => {});
    await pool?.destroy();
  }
}
