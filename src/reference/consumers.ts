import { CALLBACKS } from '../model/consumer.ts';
import type { Machine } from '../model/machine.ts';
import type { StepWord } from '../model/policy.ts';
import type { Turns } from './agent.ts';
import type { Listener } from './consumer.ts';
import type { Counts } from './counts.ts';
import type { Page } from './page.ts';
import type { Queue } from './queue.ts';
import type { Secondary } from './secondary.ts';
import { isStale } from './space.ts';

/** A consumer with its hardware. */
export interface Party {
  readonly machine: Machine;
  readonly side: Secondary;
  readonly listener: Listener;
  readonly queue: Queue;
}

/** The consumers of one address space, in the order in which they are called. */
export class Consumers {
  constructor(
    readonly all: readonly Party[],
    private readonly counts: Counts,
  ) {}

  /** Those whose step it is: of a callback all, of what the kernel does the first. */
  of(word: StepWord): readonly Party[] {
    return CALLBACKS.has(word) ? this.all : this.all.slice(0, 1);
  }

  /** What is done for one of them, counted as its. */
  *as(party: Party, turns: Turns): Turns {
    const { counts } = this;
    while (true) {
      const { actor, device } = counts;
      counts.actor = this.all.indexOf(party);
      // A device whose fault calls another consumer does not act as one of that one's.
      if (counts.actor !== actor) counts.device = null;
      const { done } = turns.next();
      Object.assign(counts, { actor, device });
      if (done) return;
      yield;
    }
  }

  /** Whether an old copy of the page can be used before hardware has dropped it. */
  reachable(page: Page): boolean {
    return this.all.some(
      ({ queue, side }) => queue.reachable && side.copies().some((copy) => copy.page === page && isStale(copy)),
    );
  }
}
