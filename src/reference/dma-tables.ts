import { LEAF_ORDER, type PageSize } from '../model/machine.ts';
import type { Page } from './page.ts';

/** The I/O page tables of all domains: which leaf stands where, and which tables lead there. */
export class IoTables {
  /** By page number and order. */
  private readonly leaves = new Map<string, Page>();
  /** Entries above the leaf tables, by level and number. */
  private readonly entries = new Map<string, Page | 'table'>();
  /** Orders that the driver maps, largest first. */
  private readonly orders: readonly number[];

  constructor(
    sizes: readonly PageSize[],
    private readonly levels: number,
  ) {
    const orders = sizes.map((size) => LEAF_ORDER[size]);
    this.orders = orders.filter((order) => order / 9 < levels).sort((a, b) => b - a);
  }

  /** The leaf of 2^order pages that begins at a page number, if there ever was one. */
  leaf(vpn: number, order: number): Page | undefined {
    return this.leaves.get(`${vpn}:${order}`);
  }

  /** A leaf that was never there before. */
  add(page: Page): void {
    this.leaves.set(`${page.vpn}:${page.order}`, page);
  }

  /** Order of the leaf that maps what begins at a page number and a frame, with so many pages left. */
  orderOf(vpn: number, frame: number, left: number): number {
    return this.orders.find((order) => [vpn, frame].every((n) => n % 2 ** order === 0) && 2 ** order <= left)!;
  }

  /** The leaf of a page number in a mapping of so many pages from `page` and `frame` on. */
  leafIn(vpn: number, page: number, frame: number, pages: number): Page {
    for (const order of this.orders) {
      const first = Math.floor(vpn / 2 ** order) * 2 ** order;
      const index = first - page;
      if (index >= 0 && this.orderOf(first, frame + index, pages - index) === order) return this.leaf(first, order)!;
    }
    throw new Error(`page ${vpn} has no leaf`);
  }

  /** Makes place for a leaf, and links the tables above it. Returns whether a table had the place. */
  link({ vpn, order }: Page): boolean {
    const lowest = 1 + order / 9;
    for (let level = lowest + 1; level <= this.levels; level++) this.entries.set(key(vpn, level), 'table');
    return order > 0 && this.entries.get(key(vpn, lowest)) === 'table';
  }

  /** A leaf is mapped. */
  set(page: Page): void {
    if (page.order > 0) this.entries.set(key(page.vpn, 1 + page.order / 9), page);
  }

  /** A leaf is gone. */
  clear({ vpn, order }: Page): void {
    if (order > 0) this.entries.delete(key(vpn, 1 + order / 9));
  }

  /** What a walk to a page number meets at a level. */
  entryAt(vpn: number, level: number): 'table' | 'none' {
    return this.entries.get(key(vpn, level)) === 'table' ? 'table' : 'none';
  }

  /** The leaf whose entry stands at a level of the way to a page number. */
  pageAt(vpn: number, level: number): Page | null {
    if (level === 1) return this.leaf(vpn, 0) ?? null;
    const entry = this.entries.get(key(vpn, level));
    return entry === undefined || entry === 'table' ? null : entry;
  }

  /** Leaves in which a page number lies, mapped now or once, smallest first. */
  pagesAt(vpn: number): Page[] {
    const orders = [...this.orders].reverse();
    return orders.flatMap((order) => this.leaf(Math.floor(vpn / 2 ** order) * 2 ** order, order) ?? []);
  }
}

function key(vpn: number, level: number): string {
  return `${level}:${Math.floor(vpn / 512 ** (level - 1))}`;
}
