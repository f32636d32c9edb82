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
  /** By space, which of them a frame is. */
  private readonly indices: Map<number, number>[] = [];
  /** Of each page of each mapping: which of them. */
  private readonly pages: number[] = [];
  private ids = new Uint32Array(0);
  private frameOf = new Float64Array(0);

  /** The next page of the mappings lies in this frame. */
  add(space: number, frame: number): void {
    this.indices[space] ??= new Map();
    const known = this.indices[space];
    let index = known.get(frame);
    if (index === undefined) {
      index = this.frames.length;
      known.set(frame, index);
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
    const order = Uint32Array.from(frames.keys()).sort((a, b) => spaces[a]! - spaces[b]! || frames[a]! - frames[b]!);
    const follows = (i: number): boolean => {
      const [before, here] = [order[i - 1]!, order[i]!];
      return spaces[before] === spaces[here] && frames[before]! + 1 === frames[here];
    };
    const ids = new Uint32Array(frames.length);
    let end = 0;
    for (let first = 0; first < order.length; ) {
      let last = first + 1;
      while (last < order.length && follows(last)) last++;
      const size = 2 ** Math.min(LARGEST, Math.floor(Math.log2(last - first)));
      end += (((frames[order[first]!]! - end) % size) + size) % size;
      for (; first < last; first++) ids[order[first]!] = end++;
    }
    this.ids = ids;
    this.frameOf = new Float64Array(end);
    ids.forEach((id, index) => {
      this.frameOf[id] = frames[index]!;
    });
    return end;
  }

  /** Number of the frame of each page of each mapping. */
  numbers(): Uint32Array {
    return Uint32Array.from(this.pages, (index) => this.ids[index]!);
  }
  /** Page number of a frame in memory. */
  frameNumber(number: number): number {
    return this.frameOf[number]!;
  }
}
