import type { LogEvent } from '../../model/log.ts';
import type { Timeline } from '../../model/timeline.ts';
import type { Args, Drawing } from './trace-event.ts';

/** A page whose old copies can be used. */
interface Open {
  readonly at: number;
  due: number | undefined;
  readonly within: { readonly at: number; readonly name: string }[];
}

/** Windows of pages that have stale copies, beside the accesses of the devices that can use them. */
export class Windows {
  private readonly open = new Map<number, Open>();

  constructor(
    private readonly drawing: Drawing,
    private readonly pid: number,
    private readonly timeline: Timeline,
  ) {}

  /** Sees a window that opens or closes, an obligation that falls due, a property that breaks. */
  see({ kind, at, page, what }: LogEvent): void {
    if (page === null) return;
    const open = this.open.get(page);
    if (kind === 'window' && what === 'opens') this.open.set(page, { at, due: undefined, within: [] });
    // One that was open before the stretch begins there.
    else if (kind === 'window') this.draw(page, open ?? { at: this.timeline.from, due: undefined, within: [] }, at);
    else if (kind === 'due' && open !== undefined) open.due = at;
    else if (kind === 'broken') open?.within.push({ at, name: `${what} breaks` });
  }

  /** Draws those that are still open where the stretch ends. */
  end(): void {
    for (const [page, open] of this.open) this.draw(page, open, this.timeline.to);
  }

  private draw(page: number, { at, due, within }: Open, to: number): void {
    this.open.delete(page);
    const number = this.timeline.pages.get(page);
    const args: Args = number === undefined ? {} : { page: `0x${number.toString(16)}` };
    this.drawing.span(this.pid, at, to, 'stale copies', 'window', args, within);
    if (due !== undefined)
      this.drawing.span(this.pid, due, to, 'stale copies that must not be used', 'exposed', args, []);
  }
}
