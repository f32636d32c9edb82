import type { Geometry, Replacement } from '../model/tlb.ts';

/** The slow twin of the engine's cache: one list per set, most recent first, nothing clever. */
export class ReferenceCache<Entry> {
  private readonly lists: Entry[][];

  constructor(
    private readonly geometry: Geometry,
    private readonly replacement: Replacement,
    private readonly same: (a: Entry, b: Entry) => boolean,
  ) {
    this.lists = Array.from({ length: geometry.sets }, () => []);
  }

  /** The entry like `wanted` in its set; LRU makes it the most recent. */
  lookup(place: number, wanted: Entry): Entry | undefined {
    const list = this.list(place);
    const found = list.findIndex((entry) => this.same(entry, wanted));
    if (found === -1) return undefined;
    const entry = list[found]!;
    if (this.replacement === 'lru') {
      list.splice(found, 1);
      list.unshift(entry);
    }
    return entry;
  }

  /** Puts `entry` in front; returns the entry that had to go. */
  fill(place: number, entry: Entry): Entry | undefined {
    const list = this.list(place);
    list.unshift(entry);
    return list.length > this.geometry.ways ? list.pop() : undefined;
  }

  /** Removes all entries that `which` accepts, anywhere; returns them. */
  remove(which: (entry: Entry) => boolean): Entry[] {
    const gone: Entry[] = [];
    for (const list of this.lists) {
      for (let i = list.length - 1; i >= 0; i--) if (which(list[i]!)) gone.push(...list.splice(i, 1));
    }
    return gone;
  }

  /** Every entry. */
  entries(): Entry[] {
    return this.lists.flat();
  }

  private list(place: number): Entry[] {
    return this.lists[place % this.geometry.sets]!;
  }
}
