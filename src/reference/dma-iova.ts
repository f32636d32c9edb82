import type { Iova } from '../model/machine.ts';
import type { Agent } from './agent.ts';
import type { Counts } from './counts.ts';
import type { Price } from './queue.ts';

/** A domain has no room for another IOVA. */
export class Exhausted extends Error {}

/** Page numbers of one size that were given back, last in first out. */
type Magazine = number[];

/** What one CPU keeps of one size. */
interface CpuCache {
  loaded: Magazine;
  previous: Magazine;
}

/** IOVAs of one domain: magazines of each CPU over a tree (Linux 6.1 drivers/iommu/iova.c). */
export class IovaAllocator {
  private readonly used: Uint8Array;
  /** By size, then by CPU. */
  private readonly caches: CpuCache[][];
  /** Full magazines that all CPUs share, by size. */
  private readonly depots: Magazine[][];

  constructor(
    private readonly shape: Iova,
    cpus: number,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {
    this.used = new Uint8Array(shape.limitPfn + 1);
    // Page number 0 is never handed out.
    this.used[0] = 1;
    const cache = (): CpuCache => ({ loaded: [], previous: [] });
    this.caches = Array.from({ length: shape.sizes }, () => Array.from({ length: cpus }, cache));
    this.depots = Array.from({ length: shape.sizes }, () => []);
  }

  /** From a magazine of the CPU, or of the depot. */
  fromMagazine(cpu: number, pages: number): number | null {
    const order = orderOf(pages);
    if (order >= this.shape.sizes) return null;
    const cache = this.caches[order]![cpu]!;
    if (cache.loaded.length === 0) {
      const full = cache.previous.length === 0 ? this.depots[order]!.pop() : undefined;
      if (cache.previous.length > 0) {
        exchange(cache);
        this.counts.reach('previous magazine loaded');
      } else if (full !== undefined) {
        cache.loaded = full;
        this.counts.reach('magazine from the depot');
      } else return null;
    }
    this.counts.add('IOVA_REUSED');
    return cache.loaded.pop()!;
  }

  /** The highest place of the tree, aligned to the size. */
  fromTree(pages: number): number {
    this.counts.add('IOVA_SLOW');
    const size = 2 ** orderOf(pages);
    const length = this.lengthOf(pages);
    for (let at = Math.floor(this.used.length / size) * size - size; at >= 0; at -= size) {
      if (this.used.subarray(at, at + length).some((used) => used === 1)) continue;
      this.used.fill(1, at, at + length);
      return at;
    }
    throw new Exhausted();
  }

  /** Into a magazine of the CPU; a magazine too many goes to the depot, or back to the tree. */
  free(agent: Agent, cpu: number, page: number, pages: number): void {
    const order = orderOf(pages);
    if (order >= this.shape.sizes) {
      agent.spend('iova', this.price('iova.free_slow'));
      this.used.fill(0, page, page + pages);
      this.counts.reach('IOVA without a magazine');
      return;
    }
    agent.spend('iova', this.price('iova.free'));
    const { magazine, depot } = this.shape;
    const cache = this.caches[order]![cpu]!;
    if (cache.loaded.length === magazine) {
      if (cache.previous.length < magazine) exchange(cache);
      else {
        const depots = this.depots[order]!;
        if (depots.length < depot) {
          depots.push(cache.loaded);
          this.counts.reach('magazine to the depot');
        } else {
          agent.spend('iova', this.price('iova.free_slow') * magazine);
          for (const old of cache.loaded) this.used.fill(0, old, old + 2 ** order);
          this.counts.reach('magazine to the tree');
        }
        cache.loaded = [];
      }
    }
    cache.loaded.push(page);
  }

  /** Sizes that have magazines are rounded up to powers of two. */
  private lengthOf(pages: number): number {
    const order = orderOf(pages);
    return order < this.shape.sizes ? 2 ** order : pages;
  }
}

/** log2, rounded up. */
function orderOf(pages: number): number {
  let order = 0;
  while (2 ** order < pages) order++;
  return order;
}

function exchange(cache: CpuCache): void {
  [cache.loaded, cache.previous] = [cache.previous, cache.loaded];
}
