import type { Follow } from '../../model/run.ts';
import { type Chunk, HEAD_OP, HEAD_SHIFT } from '../format.ts';

const FETCH = 0;
const EVENT = 3;

/** Work that a CPU posts to a device, of one chunk: pairs of (record after which, page << 1 | write). */
export type Posts = Uint32Array;

/**
 * A device that follows a CPU: every n-th data access posts work on its page. A function of the trace and the seed
 * alone; where the CPU is at any time plays no part.
 */
export class Follower {
  private left: number;
  private state: number;
  private dataPage = -1;

  constructor(
    private readonly follow: Follow,
    seed: number,
  ) {
    this.left = follow.every;
    this.state = (Math.imul(seed, 0x85ebca6b) | 1) >>> 0;
  }

  /** Posts of the next chunk. */
  posts(chunk: Chunk): Posts {
    const posts: number[] = [];
    this.dataPage = -1;
    for (let i = 0; i < chunk.records; i++) {
      const head = chunk.heads[i]!;
      const op = head & HEAD_OP;
      if (op === EVENT) this.dataPage = -1;
      else if (op !== FETCH) this.dataPage = head >>> HEAD_SHIFT;
      this.left -= chunk.runDatas[i]!;
      if (this.left > 0) continue;
      // A run longer than the distance posts once: it is one page.
      this.left = this.follow.every - (-this.left % this.follow.every);
      if (this.dataPage >= 0) posts.push(i, ((this.dataPage << 1) | (this.writes() ? 1 : 0)) >>> 0);
    }
    return Uint32Array.from(posts);
  }

  /** xorshift32, as in assembly/random.ts. */
  private writes(): boolean {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state < this.follow.write * 2 ** 32;
  }
}

/** Posts of a whole trace at most: what the device's queue has to hold. */
export function mostPosts(follow: Follow, datas: number): number {
  return Math.ceil(datas / follow.every) + 1;
}
