import type { Page } from './page.ts';

/** Unmapped pages that a late device can look back at. */
const MEMORY = 64;

/** Where the program is, and what it has lost lately. */
export class Recent {
  /** Records that the program has executed. */
  record = 0;
  /** Newest first, each with the record of the program at that time. */
  private readonly lost: ({ readonly page: Page; readonly record: number } | null)[] = [];
  private news = false;

  unmapped(page: Page): void {
    this.lost.unshift({ page, record: this.record });
    this.lost.length = Math.min(this.lost.length, MEMORY);
    this.news = true;
  }

  /** Whether there is news since this was last asked. */
  takeNews(): boolean {
    const { news } = this;
    this.news = false;
    return news;
  }

  /** A page of those wanted that was unmapped at most so many records ago, the newest; each goes to one device only. */
  take(wanted: ReadonlySet<Page>, records: number): Page | null {
    const at = this.lost.findIndex(
      (entry) => entry !== null && wanted.has(entry.page) && entry.record + records >= this.record,
    );
    if (at < 0) return null;
    const { page } = this.lost[at]!;
    this.lost[at] = null;
    return page;
  }
}
