import type { Follow } from '../../model/run.ts';
import { type Chunk, HEAD_OP, HEAD_SHIFT } from '../format.ts';
import { Random } from './random.ts';

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
  private readonly random: Random;
  private dataPage = -1;

  constructor(
    private readonly follow: Follow,
    seed: number,
  ) {
    this.left = follow.every;
    this.random = new Random(seed);
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
      if (this.dataPage >= 0)
        posts.push(i, ((this.dataPage << 1) | (this.random.chance(this.follow.write) ? 1 : 0)) >>> 0);
    }
    return Uint32Array.from(posts);
  }
}

/** Posts of a whole trace at most: what the device's queue has to hold. */
export function mostPosts(follow: Follow, datas: number): number {
  return Math.ceil(datas / follow.every) + 1;
}
