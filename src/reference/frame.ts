import { RECLAIM_BATCH } from '../model/path.ts';
import type { Agent } from './agent.ts';
import type { Page } from './page.ts';

/** One page of memory. Its incarnation grows whenever it is freed, which is how an old translation is told from a new one. */
export interface Frame {
  readonly number: number;
  incarnation: number;
  refs: number;
  free: boolean;
  /** The page that maps it, as rmap knows. */
  owner: Page | null;
}

/** All of memory. Frame 0 is the shared zero page. */
export class Frames {
  readonly zero: Frame = { number: 0, incarnation: 0, refs: 1, free: false, owner: null };
  readonly all: readonly Frame[];
  private readonly stack: Frame[];
  private readonly waiting: Agent[] = [];
  /** What a child of fork maps: its references, and the page through which it got them. */
  private readonly children = new Map<Frame, { readonly refs: number; readonly page: Page }>();

  constructor(
    count: number,
    /** Who works on a mapped page holds a reference of its own. */
    readonly callerHolds: boolean,
  ) {
    this.all = Array.from({ length: count }, (_, i) => ({
      number: i + 1,
      incarnation: 0,
      refs: 0,
      free: true,
      owner: null,
    }));
    this.stack = this.all.toReversed();
  }

  /** Fewer free frames than this wake reclaim. */
  get low(): number {
    return Math.max(RECLAIM_BATCH, Math.floor(this.all.length / 32));
  }

  get free(): number {
    return this.stack.length;
  }

  /** The frame freed last, with one reference. */
  alloc(page: Page): Frame {
    const frame = this.stack.pop()!;
    frame.refs = 1;
    frame.free = false;
    frame.owner = page;
    return frame;
  }

  get(frame: Frame): void {
    if (frame !== this.zero) frame.refs++;
  }

  put(frame: Frame): void {
    if (frame === this.zero) return;
    if (frame.refs === 0) throw new Error(`frame ${frame.number} has no reference to put`);
    frame.refs--;
  }

  /** A child of fork maps the frame of `page`, too. */
  share(frame: Frame, page: Page): void {
    this.get(frame);
    const { refs } = this.children.get(frame) ?? { refs: 0 };
    this.children.set(frame, { refs: refs + 1, page });
  }

  /** The child is gone. Returns through which page it had the frame, null if it had not. */
  unshare(frame: Frame): Page | null {
    const share = this.children.get(frame);
    if (share === undefined) return null;
    frame.refs -= share.refs;
    this.children.delete(frame);
    return share.page;
  }

  /** Gives a frame back unless somebody still has a reference. */
  release(frame: Frame): boolean {
    if (frame === this.zero || frame.refs > 0 || frame.free) return false;
    frame.free = true;
    frame.incarnation++;
    frame.owner = null;
    this.stack.push(frame);
    return true;
  }

  /** Blocks until frames are freed or reclaim is done with a page. */
  await(agent: Agent): void {
    this.waiting.push(agent);
    agent.block('frame_wait');
  }

  get anyoneWaits(): boolean {
    return this.waiting.length > 0;
  }

  wakeAll(by: Agent, now: number): void {
    const known = by.tell();
    for (const agent of this.waiting.splice(0)) {
      agent.wake(now);
      agent.hear(known);
    }
  }
}
