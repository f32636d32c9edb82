import type { Agent } from './agent.ts';
import type { Counter, Counts } from './counts.ts';
import { meets, type Page } from './page.ts';
import { type Copy, isFreed, isStale, type Space } from './space.ts';

/** What an old copy may not do from an obligation point on, besides being used: write what is read-only, write unnoticed. */
export type Owed = 'permission' | 'dirty' | null;

/** Obligation points, and what an access through an old translation breaks when it lands. */
export class Safety {
  constructor(
    private readonly space: Space,
    private readonly counts: Counts,
    private readonly ideal: boolean,
    /** A frame that was given back is somebody else's. */
    private readonly reuse: boolean,
  ) {}

  /** The page's old translation must be unusable from now on. `reachable`: it is not behind a deferred invalidation. */
  oblige(page: Page, now: number, owes: Owed, reachable: boolean): void {
    this.space.watch(page, now);
    if (page.window === null) return;
    if (!reachable) {
      this.counts.reach('obligation behind a deferred invalidation');
      return;
    }
    if (page.window.obliged === null) this.counts.add('EXPOSED');
    const { opened, obliged, owed, met } = page.window;
    page.window = { met, opened, obliged: obliged ?? now, owed: owes === null ? owed : [...owed, owes] };
  }

  /** A call of the program, under the lock, finds the page gone, or has made it so: nothing old may be left when it returns. */
  meet(page: Page, call: object): void {
    page.window?.met.add(call);
    page.cpuWindow?.met.add(call);
  }

  /** The call has returned, and what it met is there still. */
  settle(page: Page, call: object, owes: Owed, now: number, reachable: () => boolean): void {
    if (page.window?.met.delete(call)) this.oblige(page, now, owes, reachable());
    const { cpuWindow } = page;
    if (!cpuWindow?.met.delete(call)) return;
    if (cpuWindow.late !== 'all') cpuWindow.late = owes === null ? 'all' : 'write';
    this.counts.reach('CPU entry outlives the call');
  }

  /** A translation was taken away or narrowed. */
  changed(page: Page): void {
    if (this.space.staleCopies(page).length === 0) this.counts.add('WINDOWS_EMPTY');
    page.user = null;
  }

  /** A CPU translates through the present PTE; being the first to do so makes older copies of the page wrong. */
  used(page: Page, cpu: Agent, now: number, reachable: boolean): void {
    if (page.user !== null) return;
    page.user = { agent: cpu.id, epoch: cpu.epoch };
    this.oblige(page, now, null, reachable);
  }

  /** A walk for a device has begun at a freed table. */
  walked(page: Page, device: Agent, record: number): void {
    this.counts.add('S5');
    const changed = page.window?.opened ?? device.clock;
    this.counts.first ??= { property: 5, page: page.id, changed, at: device.clock, agent: device.id, record };
  }

  /** A device access reaches memory. */
  land(copy: Copy, asked: Page, write: boolean, device: Agent, record: number): void {
    const { page } = copy;
    // Leaves of one domain that are about the same address are its own, whatever their sizes.
    if (!meets(page, asked.vpn, asked.vpn + 2 ** asked.order - 1)) {
      this.counts.add('S7');
      const changed = asked.window?.opened ?? device.clock;
      this.counts.first ??= { property: 7, page: asked.id, changed, at: device.clock, agent: device.id, record };
    }
    if (this.ideal || !isStale(copy)) return;
    this.counts.add('STALE');
    const violation = (counter: Counter, property: number): void => {
      this.counts.add(counter);
      const { opened } = page.window!;
      this.counts.first ??= { property, page: page.id, changed: opened, at: device.clock, agent: device.id, record };
    };
    if (isFreed(copy)) {
      if (this.reuse) violation(write ? 'S1_WRITE' : 'S1_READ', 1);
      return;
    }
    const narrowedOnly = page.pte.present && page.frame === copy.frame;
    const { user, window } = page;
    if (!narrowedOnly && user !== null && device.heard[user.agent]! >= user.epoch) {
      if (page.asked) this.counts.add('ALLOWED');
      else violation('S2', 2);
    } else if (window!.obliged === null) this.counts.add('IN_FLIGHT');
    else if (write && window!.owed.includes('permission')) violation('S3', 3);
    else if (write && window!.owed.includes('dirty')) violation('S4', 4);
    else {
      this.counts.add('SHARED');
      this.counts.reach('stale use after the obligation, no property broken');
    }
  }
}
