/** log2 of the pages of the largest leaf: 1 GiB. */
const LARGEST = 18;

/**
 * Numbers of the frames of a recording. Frames of a domain that lie side by side have numbers that do, and a run of them is
 * aligned as it is in memory, as far as a leaf could use that: what large leaves need.
 */
export class DmaFrames {
  /** Frames in the order in which they turn up. */
  private readonly frames: number[] = [];
  private readonly spaces: number[] = [];
  private readonly indices = new Map<string, number>();
  /** Of each page of each mapping: which of them. */
  private readonly pages: number[] = [];
  private readonly ids: number[] = [];
  private readonly frameOf = new Map<number, number>();
  private end = 0;

  /** The next page of the mappings lies in this frame. */
  add(space: number, frame: number): void {
    const key = `${space}:${frame}`;
    let index = this.indices.get(key);
    if (index === undefined) {
      index = this.frames.length;
      this.indices.set(key, index);
      this.frames.push(frame);
      this.spaces.push(space);
    }
    this.pages.push(index);
  }

  /** Pages of all mappings. */
  get length(): number {
    return this.pages.length;
  }

  /** Numbers them, once all are there. Returns the end of the numbers. */
  arrange(): number {
    const { frames, spaces } = this;
    const order = [...frames.keys()].sort((a, b) => spaces[a]! - spaces[b]! || frames[a]! - frames[b]!);
    const follows = (i: number): boolean => {
      const [before, here] = [order[i - 1]!, order[i]!];
      return spaces[before] === spaces[here] && frames[before]! + 1 === frames[here];
    };
    this.end = 0;
    for (let first = 0; first < order.length; ) {
      let last = first + 1;
      while (last < order.length && follows(last)) last++;
      const size = 2 ** Math.min(LARGEST, Math.floor(Math.log2(last - first)));
      this.end += (((frames[order[first]!]! - this.end) % size) + size) % size;
      for (; first < last; first++) {
        this.ids[order[first]!] = this.end;
        this.frameOf.set(this.end++, frames[order[first]!]!);
      }
    }
    return this.end;
  }

  /** Number of the frame of each page of each mapping. */
  numbers(): number[] {
    return this.pages.map((index) => this.ids[index]!);
  }
  /** Page number of a frame in memory. */
  frameNumber(number: number): number {
    return this.frameOf.get(number)!;
  }
}
