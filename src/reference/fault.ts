import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import type { Frames } from './frame.ts';
import type { Operation } from './operation.ts';
import type { Page } from './page.ts';
import type { Paths } from './path.ts';
import type { Price } from './queue.ts';
import type { Shootdown } from './shootdown.ts';

/** Page faults, of the CPU and of the device. */
export class Faults {
  constructor(
    private readonly frames: Frames,
    private readonly paths: Paths,
    private readonly shootdown: Shootdown,
    private readonly reclaimer: Agent | null,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {}

  /** One attempt. False: it had to wait, and looks at the page again in the turn that has begun. */
  *handle(agent: Agent, page: Page, write: boolean): Turns<boolean> {
    const { pte } = page;
    if (page.kind === 'gone' && !pte.busy) {
      page.kind = 'unknown';
      this.counts.reach('unmapped page touched again');
    }
    if (pte.busy || pte.locked || (this.needsFrame(page, write) && this.frames.free === 0)) {
      this.counts.reach(
        pte.busy ? 'wait for reclaim of the page' : pte.locked ? 'wait for the copy of the page' : 'wait for a frame',
      );
      yield* this.wait(agent);
      return false;
    }
    this.counts.add('FAULTS');
    const mode = this.mode(page, write);
    const cow = mode === 'cow';
    const file = page.kind === 'file' || page.kind === 'shared';
    const cached = file && !(write && page.kind === 'file') && mode === 'frame';
    const path = page.kind === 'hugetlb' ? 'hugetlb_cow' : page.kind === 'huge' ? 'thp_cow' : 'cow';
    const fault = { mode: cow ? ('frame' as const) : mode, write, cached, found: pte };
    const oldFrame = pte.present ? page.frame : null;
    const run = this.paths.begin({ agent, path: cow ? path : 'fault', page, fault, oldFrame });
    agent.spend('fault', this.price('fault.minor'));
    if (mode === 'cow' || mode === 'frame') {
      this.take(run, page);
      if (cow && this.frames.callerHolds) this.frames.get(oldFrame!);
      this.payForContent(agent, page, cow, file);
    }
    this.counts.reach(`fault: ${mode}${pte.swapped ? ' from swap' : ''}`);
    yield;
    yield* this.finish(run);
    return true;
  }

  /** Runs a list to its end. Who waits for frames may find one in what it has installed. */
  *finish(run: Operation, keep = false): Turns {
    yield* this.paths.run(run, keep);
    if (!this.frames.anyoneWaits) return;
    this.counts.reach('somebody waits for frames when a list is over');
    this.wakeReclaim(run.agent.clock);
  }

  private mode({ pte, frame, kind }: Page, write: boolean): 'cow' | 'reuse' | 'zero' | 'frame' | 'back' {
    if (pte.away) return 'back';
    if (pte.present) {
      const others = pte.zero || pte.merged || (pte.cached && kind !== 'shared') || (pte.shared && frame!.refs > 1);
      if (pte.shared && write) this.counts.reach(others ? 'copied for a child' : 'the child is gone: reused');
      return write && others ? 'cow' : 'reuse';
    }
    const zeroes = kind === 'unknown' || kind === 'anonymous' || kind === 'huge';
    return !write && zeroes && !pte.swapped ? 'zero' : 'frame';
  }

  private needsFrame(page: Page, write: boolean): boolean {
    const mode = this.mode(page, write);
    return mode === 'cow' || mode === 'frame';
  }

  private payForContent(agent: Agent, { pte }: Page, cow: boolean, file: boolean): void {
    if (cow) agent.spend('page_copy', this.price('page.copy'));
    else if (pte.swapped) {
      this.counts.add('SWAP_INS');
      agent.spend('page_io', this.price('fault.swap_in'));
      this.shootdown.idle(agent);
    } else if (file && pte.seen) {
      agent.spend('page_io', this.price('fault.file_in'));
      this.shootdown.idle(agent);
    } else if (!file) agent.spend('page_copy', this.price('page.zero'));
  }

  /** Waits for frames; the turn that begins then looks again. */
  *wait(agent: Agent): Turns {
    this.frames.await(agent);
    this.wakeReclaim(agent.clock);
    yield;
  }

  /** A frame for what a list will install. */
  take(run: Operation, page: Page): void {
    run.newFrame = this.frames.alloc(page);
    if (this.frames.free < this.frames.low) this.wakeReclaim(run.agent.clock);
  }

  private wakeReclaim(now: number): void {
    const { reclaimer } = this;
    if (reclaimer?.state === 'blocked' && reclaimer.waitsFor === 'idle') reclaimer.wake(now);
  }
}
