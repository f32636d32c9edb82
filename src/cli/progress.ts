/** Progress on stderr: one line that rewrites itself on a terminal, a line every few seconds elsewhere. */
export interface Progress {
  /** `done` of the work, 0..1; of `total` units if that is known. */
  update(done: number, total?: number): void;
  end(): void;
}

const QUIET_MS = 1000; //  shorter work prints nothing
const TTY_MS = 100;
const PLAIN_MS = 10_000;
const PREFIXES: readonly (readonly [size: number, prefix: string])[] = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** Starts to report on `what`, counted in `unit`; prints nothing with `quiet`, and nothing of work that is soon done. */
export function startProgress(what: string, quiet: boolean, unit = ''): Progress {
  const start = Date.now();
  const tty = process.stderr.isTTY === true;
  let last = start;
  let shown = false;
  return {
    update(done, total) {
      const now = Date.now();
      if (quiet || now - start < QUIET_MS || now - last < (tty ? TTY_MS : PLAIN_MS)) return;
      last = now;
      shown = true;
      const seconds = (now - start) / 1000;
      const rate = total === undefined ? '' : `, ${perSecond((done * total) / seconds, unit)}`;
      const left = done > 0 ? `, ${Math.max(0, Math.round(seconds / done - seconds))} s left` : '';
      const line = `${what} ${Math.floor(Math.min(done, 1) * 100)} %${rate}${left}`;
      process.stderr.write(tty ? `\r${line}\x1b[K` : `${line}\n`);
    },
    end() {
      if (shown && tty) process.stderr.write('\r\x1b[K');
    },
  };
}

/** `1.2 M records/s`. */
function perSecond(rate: number, unit: string): string {
  const [size, prefix] = PREFIXES.find(([size]) => rate >= size) ?? [1, ''];
  const digits = rate / size < 10 ? 1 : 0;
  return `${(rate / size).toFixed(digits)} ${prefix}${prefix === '' || unit === 'B' ? '' : ' '}${unit}/s`;
}
