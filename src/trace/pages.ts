import type { TracePage } from '../model/trace.ts';

const SLOTS = 512;

/** The pages of a trace, found by place: ids in a range of page numbers, in ascending order of page number. */
export class PageIndex {
  private readonly spaces: Map<number, Int32Array>[] = [];
  private count = 0;

  /** Adds the next pages; the first page ever added has id 0. */
  add(pages: readonly TracePage[]): void {
    for (const { space, vpn } of pages) {
      const table = Math.floor(vpn / SLOTS);
      const tables = this.tables(space);
      let slots = tables.get(table);
      if (slots === undefined) {
        slots = new Int32Array(SLOTS);
        tables.set(table, slots);
      }
      slots[vpn % SLOTS] = ++this.count;
    }
  }

  /** Ids of the known pages with `first <= vpn < end`. */
  inRange(space: number, first: number, end: number): number[] {
    const tables = this.tables(space);
    const ids: number[] = [];
    for (const table of this.tablesBetween(tables, Math.floor(first / SLOTS), Math.floor((end - 1) / SLOTS))) {
      const slots = tables.get(table)!;
      const last = Math.min(SLOTS, end - table * SLOTS);
      for (let slot = Math.max(0, first - table * SLOTS); slot < last; slot++) {
        const id = slots[slot]!;
        if (id !== 0) ids.push(id - 1);
      }
    }
    return ids;
  }

  /** Table numbers that exist in first..last: by counting, or by looking at all where the range is wider than that. */
  private tablesBetween(tables: Map<number, Int32Array>, first: number, last: number): number[] {
    const found: number[] = [];
    if (last - first < tables.size) {
      for (let table = first; table <= last; table++) if (tables.has(table)) found.push(table);
      return found;
    }
    for (const table of tables.keys()) if (table >= first && table <= last) found.push(table);
    return found.sort((a, b) => a - b);
  }

  private tables(space: number): Map<number, Int32Array> {
    while (this.spaces.length <= space) this.spaces.push(new Map());
    return this.spaces[space]!;
  }
}
