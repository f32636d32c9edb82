/** Progress on stderr: one line that rewrites itself on a terminal, a line every few seconds elsewhere. */
export interface Progress {
  /** `done` of the work, 0..1. */
  update(done: number): void;
  end(): void;
}

const QUIET_MS = 1000; //  shorter work prints nothing
const TTY_MS = 100;
const PLAIN_MS = 10_000;

/** Starts to report on `what`; prints nothing with `quiet`, and nothing of work that is soon done. */
export function startProgress(what: string, quiet: boolean): Progress {
  const start = Date.now();
  const tty = process.stderr.isTTY === true;
  let last = start;
  let shown = false;
  return {
    update(done) {
      const now = Date.now();
      if (quiet || now - start < QUIET_MS || now - last < (tty ? TTY_MS : PLAIN_MS)) return;
      last = now;
      shown = true;
      const seconds = (now - start) / 1000;
      const left = done > 0 ? ` ${Math.max(0, Math.round(seconds / done - seconds))} s left` : '';
      const line = `${what} ${Math.floor(Math.min(done, 1) * 100)} %${left}`;
      process.stderr.write(tty ? `\r${line}\x1b[K` : `${line}\n`);
    },
    end() {
      if (shown && tty) process.stderr.write('\r\x1b[K');
    },
  };
}
