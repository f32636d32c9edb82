import type { Follow } from '../../model/run.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT } from '../format.ts';
import { Random } from './random.ts';

const FETCH = 0;
const NO_PAGE = -1;

/** Work that a CPU posts to a device, of one chunk: pairs of (record after which, page << 1 | write). */
export type Posts = Uint32Array;

/**
 * A device that follows a CPU: every n-th data access posts work on its page. A function of the trace and the seed
 * alone; where the CPU is at any time plays no part.
 */
export class Follower {
  private left: number;
  private readonly random: Random;

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
    let page = NO_PAGE;
    let looked = 0;
    // All at once, so that what lies far apart in memory is fetched side by side.
    for (const record of this.posting(chunk)) {
      page = lastPage(chunk.heads, looked, record, page);
      looked = record + 1;
      if (page !== NO_PAGE) posts.push(record, ((page << 1) | (this.random.chance(this.follow.write) ? 1 : 0)) >>> 0);
    }
    return new Uint32Array(posts);
  }

  /** Records of the next chunk that post. */
  private posting({ records, runDatas }: Chunk): number[] {
    const { every } = this.follow;
    const posting: number[] = [];
    let { left } = this;
    for (let i = 0; i < records; i++) {
      // Most records post nothing: they are passed over, as long as it goes four at a time.
      for (; i + 4 <= records; i += 4) {
        const four = runDatas[i]! + runDatas[i + 1]! + runDatas[i + 2]! + runDatas[i + 3]!;
        if (four >= left) break;
        left -= four;
      }
      for (; i < records; i++) {
        left -= runDatas[i]!;
        if (left <= 0) break;
      }
      if (i === records) break;
      // A run longer than the distance posts once: it is one page.
      left = every - ((0 - left) % every);
      posting.push(i);
    }
    this.left = left;
    return posting;
  }
}

/** The page of the last data record of `first..last`, none behind an event; `before`: that of the records before. */
function lastPage(heads: Uint32Array, first: number, last: number, before: number): number {
  for (let i = last; i >= first; i--) {
    const op = heads[i]! & HEAD_OP;
    if (op === HEAD_EVENT) return NO_PAGE;
    if (op !== FETCH) return heads[i]! >>> HEAD_SHIFT;
  }
  return before;
}

/** Posts of a whole trace at most: what the device's queue has to hold. */
export function mostPosts(follow: Follow, datas: number): number {
  return Math.ceil(datas / follow.every) + 1;
}
