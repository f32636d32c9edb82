/** Page numbers handed out from the top down, in ranges; what was given back last is handed out first, by size. */
export class Ranges {
  private readonly free = new Map<number, number[]>();

  /** `top`: the first page above all of them. */
  constructor(private top: number) {}

  /** The first page of a range of `pages`. */
  take(pages: number): number {
    const known = this.free.get(pages)?.pop();
    if (known !== undefined) return known;
    this.top -= pages;
    return this.top;
  }

  /** Gives a whole range back. */
  give(first: number, pages: number): void {
    const list = this.free.get(pages);
    if (list) list.push(first);
    else this.free.set(pages, [first]);
  }
}
