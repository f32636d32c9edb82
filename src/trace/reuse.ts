/** Pages used last, which need no tree: most accesses are to one of them. */
const RECENT = 16;
/** Slots of the tree at first. */
const SLOTS = 1 << 12;
const NONE = -1;

/**
 * Reuse distances of one stream of accesses, exactly: how many other pages were used since the last use of this page
 * (the stack distance of Mattson et al., 1970). A fully associative LRU TLB of n entries misses where it is n or more.
 * Pages are dense ids. The newest pages stand in a list; of each of the others, a tree of partial sums (Fenwick 1994)
 * counts the time at which it left the list.
 */
export class ReuseDistances {
  /** i32[RECENT], newest first; NONE where there is none yet. */
  private readonly recent = new Int32Array(RECENT).fill(NONE);
  /** i32 per page: slot at which it left the list; 0: in the list, or never used. */
  private slots = new Int32Array(SLOTS);
  /** i32[1 + slots], a Fenwick tree of pages per slot. */
  private tree = new Int32Array(SLOTS + 1);
  private used = 0;
  private marked = 0;

  /** The distance of an access to `page`; -1 of its first. */
  touch(page: number): number {
    const { recent } = this;
    let at = 0;
    while (at < RECENT && recent[at] !== page) at++;
    if (at < RECENT) {
      recent.copyWithin(1, 0, at);
      recent[0] = page;
      return at;
    }
    const slot = page < this.slots.length ? this.slots[page]! : 0;
    const distance = slot === 0 ? NONE : RECENT + this.marked - this.upTo(slot);
    if (slot !== 0) this.mark(page, slot, -1);
    const left = recent[RECENT - 1]!;
    recent.copyWithin(1, 0, RECENT - 1);
    recent[0] = page;
    if (left !== NONE) this.leave(left);
    return distance;
  }

  private leave(page: number): void {
    if (this.used + 1 >= this.tree.length) this.renumber();
    this.mark(page, ++this.used, 1);
  }

  private mark(page: number, slot: number, change: 1 | -1): void {
    if (page >= this.slots.length) {
      const more = new Int32Array(Math.max(page + 1, this.slots.length * 2));
      more.set(this.slots);
      this.slots = more;
    }
    this.slots[page] = change === 1 ? slot : 0;
    this.marked += change;
    for (let i = slot; i < this.tree.length; i += i & -i) this.tree[i]! += change;
  }

  private upTo(slot: number): number {
    let sum = 0;
    for (let i = slot; i > 0; i -= i & -i) sum += this.tree[i]!;
    return sum;
  }

  /** Slots in use become the first ones again, in their order. */
  private renumber(): void {
    const pages: number[] = [];
    for (let page = 0; page < this.slots.length; page++) if (this.slots[page] !== 0) pages.push(page);
    pages.sort((a, b) => this.slots[a]! - this.slots[b]!);
    this.tree = new Int32Array(Math.max(SLOTS, pages.length * 4) + 1);
    this.used = this.marked = 0;
    for (const page of pages) this.mark(page, ++this.used, 1);
  }
}
