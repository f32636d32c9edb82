import type { Cause } from './counts.ts';

/** Turns of an agent: a yield ends one. */
export type Turns<Result = void> = Generator<void, Result, void>;

/** Someone who takes turns: the CPU, reclaim, the IOMMU, the device, each of its accesses in flight. */
export class Agent {
  clock = 0;
  /** The clock when the turn in hand began: the time of all effects of the turn. */
  turn = 0;
  state: 'runnable' | 'blocked' | 'done' = 'runnable';
  waitsFor: Cause = 'idle';
  readonly times = new Map<Cause, number>();
  /** Whose epochs it has heard of, by agent. */
  readonly heard: number[];

  constructor(
    readonly id: number,
    agents: number,
  ) {
    this.heard = Array.from({ length: agents }, (_, other) => (other === id ? 1 : 0));
  }

  spend(cause: Cause, ps: number): void {
    this.clock += ps;
    this.times.set(cause, (this.times.get(cause) ?? 0) + ps);
  }

  /** Waits until somebody wakes it; a yield has to follow. */
  block(cause: Cause): void {
    if (this.state !== 'runnable') throw new Error(`agent ${this.id} blocks while ${this.state}`);
    this.state = 'blocked';
    this.waitsFor = cause;
  }

  /** Goes on at `now`, or at its own time if that is later. Returns how long it waited. */
  wake(now: number): number {
    if (this.state !== 'blocked') throw new Error(`agent ${this.id} is woken while ${this.state}`);
    this.state = 'runnable';
    const waited = Math.max(0, now - this.clock);
    this.spend(this.waitsFor, waited);
    return waited;
  }

  /** What it knows now, for others to hear; then its next epoch begins. */
  tell(): number[] {
    const known = [...this.heard];
    this.heard[this.id]!++;
    return known;
  }

  hear(known: readonly number[]): void {
    known.forEach((epoch, other) => {
      this.heard[other] = Math.max(this.heard[other]!, epoch);
    });
  }

  get epoch(): number {
    return this.heard[this.id]!;
  }
}
