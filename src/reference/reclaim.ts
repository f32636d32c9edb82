import { type PathName, RECLAIM_BATCH } from '../model/path.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import type { Frame, Frames } from './frame.ts';
import type { Page, Pte } from './page.ts';
import type { Paths } from './path.ts';
import type { Price } from './queue.ts';
import type { Space } from './space.ts';

/** A page that reclaim has in hand. */
interface Row {
  readonly page: Page;
  readonly frame: Frame;
  readonly path: PathName;
  changed: boolean;
}

/** The reclaim agent: second chance over frames, batch by batch, until there are frames enough. */
export class Reclaim {
  /** Free frames at which it sleeps. */
  private readonly high: number;
  private hand = 0;

  constructor(
    readonly agent: Agent,
    private readonly frames: Frames,
    private readonly space: Space,
    private readonly paths: Paths,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {
    this.high = frames.low + Math.floor(frames.low / 2);
  }

  *life(): Turns {
    const { agent } = this;
    while (true) {
      const batch = this.frames.free >= this.high ? [] : this.isolate();
      if (batch.length === 0) {
        agent.block('idle');
        yield;
        continue;
      }
      for (const row of batch) {
        const { page, frame, path } = row;
        const body = this.paths.begin({ agent, path, page, oldFrame: frame });
        yield;
        yield* this.paths.run(body);
        row.changed = !body.lost;
      }
      const { page, frame, path } = batch[0]!;
      const changed = new Map(batch.filter((row) => row.changed).map((row) => [row.page, null]));
      const middle = this.paths.begin({ agent, path, part: 'middle', page, oldFrame: frame, changed });
      yield;
      yield* this.paths.run(middle);
      for (const row of batch)
        if (row.changed && row.path === 'reclaim_swap') this.paths.writtenOut(row.page, agent.clock);
      for (const row of batch) yield* this.tail(row);
      this.frames.wakeAll(agent, agent.clock);
      yield;
    }
  }

  /** The end of the list for one page; afterwards it is out. */
  private *tail({ page, frame, path, changed }: Row): Turns {
    const { agent } = this;
    const done = new Map(changed ? [[page, null]] : []);
    const run = this.paths.begin({ agent, path, part: 'tail', page, oldFrame: frame, lost: !changed, changed: done });
    yield;
    yield* this.paths.run(run);
    if (!changed || path === 'reclaim_redirtied' || path === 'reclaim_mismatch') return;
    this.counts.add('RECLAIMED');
    if (page.pte.busy) this.space.set(page, { ...page.pte, busy: false }, page.frame, agent.turn);
  }

  /** Takes pages that were not used since it last came by, each with a reference. */
  private isolate(): Row[] {
    const { all } = this.frames;
    const batch: Row[] = [];
    for (let looked = 0; batch.length < RECLAIM_BATCH && looked < 2 * all.length; looked++) {
      this.hand = this.hand === all.length ? 1 : this.hand + 1;
      const frame = all[this.hand - 1]!;
      const page = frame.owner;
      if (page === null || page.kind === 'hugetlb' || !page.pte.present || page.pte.locked || page.frame !== frame)
        continue;
      if (page.touched) page.touched = false;
      else if (!batch.some((row) => row.page === page)) {
        if (this.frames.callerHolds) this.frames.get(frame);
        batch.push({ page, frame, path: pathOf(page.pte), changed: false });
      }
    }
    this.agent.spend('reclaim', this.price('reclaim.isolate') * batch.length);
    return batch;
  }
}

function pathOf({ lazy, dirty, cached, mismatched, unused }: Pte): PathName {
  if (mismatched) return 'reclaim_mismatch';
  if (unused) return 'reclaim_unused';
  if (lazy) return dirty ? 'reclaim_redirtied' : 'reclaim_lazyfree';
  return cached ? 'reclaim_file' : 'reclaim_swap';
}
