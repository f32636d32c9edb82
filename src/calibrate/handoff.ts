/** One of two threads that hand a word to each other: what a lock that passes on costs at least. */

/** What a thread is told. */
export interface HandoffTask {
  /** i32[1]: whose turn it is. */
  readonly shared: SharedArrayBuffer;
  readonly who: 0 | 1;
  readonly rounds: number;
}

/** Two threads on CPUs of their own need some milliseconds; on one CPU they would need minutes. */
const PATIENCE_MS = 500;
const SPINS = 1 << 12;

/** Nanoseconds of one hand-over, or null if the threads did not run at the same time. */
export default function handoff({ shared, who, rounds }: HandoffTask): number | null {
  const turn = new Int32Array(shared);
  const start = performance.now();
  let begin = start;
  // The first rounds bring both threads to their CPUs.
  for (let round = -rounds; round < rounds; round++) {
    if (round === 0) begin = performance.now();
    while (!isTurn(turn, who)) if (performance.now() - start > PATIENCE_MS) return null;
    Atomics.store(turn, 0, 1 - who);
  }
  return ((performance.now() - begin) * 1e6) / (2 * rounds);
}

function isTurn(turn: Int32Array, who: number): boolean {
  for (let i = 0; i < SPINS; i++) if (Atomics.load(turn, 0) === who) return true;
  return false;
}
