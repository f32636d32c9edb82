import type { TraceAgent, TraceEvent } from '../../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE } from '../format.ts';
import type { Posts } from './follow.ts';

/** What one CPU has to do in one chunk. The columns are those of a chunk. */
export interface Piece {
  readonly cpu: number;
  readonly records: number;
  readonly heads: Uint32Array;
  readonly runFetches: Uint16Array;
  readonly runDatas: Uint16Array;
  readonly events: readonly TraceEvent[];
  /** By record of the piece. */
  readonly posts: Posts;
}

/** Records that a CPU gets at a time where one recorded thread is dealt to several. */
export const DEAL = 1000;

const NONE = -1;
const FETCH = 0;
const READ = 1;
const WRITE = 2;

/** The runs that are open: page of each kind, or NONE. */
interface Open {
  fetch: number;
  data: number;
  /** The data run began with a write. */
  writes: boolean;
}

/** A piece in the making. */
interface Draft {
  readonly heads: number[];
  readonly fetches: number[];
  readonly datas: number[];
  readonly events: TraceEvent[];
  readonly posts: number[];
  readonly open: Open;
}

/**
 * Who runs what: each recorded CPU its own records; or, where one was recorded and `cpus` are wanted, all of them in turn
 * some records, side by side. A run that another CPU had open is opened by one of its accesses, so that the accesses of
 * every page and kind stay what they were.
 */
export class Dealer {
  private readonly cpuOf: ReadonlyMap<number, number>;
  private dealt = 0;

  constructor(
    agents: readonly TraceAgent[],
    private readonly cpus: number,
    /** Records that a CPU gets at a time. */
    private readonly deal = DEAL,
  ) {
    const recorded = [...agents.keys()].filter((agent) => agents[agent]!.kind === 'cpu');
    this.cpuOf = new Map(recorded.map((agent, cpu) => [agent, cpu]));
  }

  /** The pieces of the next chunk, CPU by CPU; a CPU without records has none. */
  pieces(chunk: Chunk, posts: Posts | undefined): Piece[] {
    const work = posts ?? new Uint32Array();
    const { heads, runFetches, runDatas, events, records } = chunk;
    if (this.cpus === 1) return [{ cpu: 0, records, heads, runFetches, runDatas, events, posts: work }];
    const drafts = Array.from({ length: this.cpus }, emptyDraft);
    const recorded: Open[] = drafts.map(closed);
    let agent = chunk.agent;
    let post = 0;
    for (let i = 0; i < records; i++) {
      const head = heads[i]!;
      const event = (head & HEAD_OP) === HEAD_EVENT ? events[head >>> HEAD_SHIFT]! : undefined;
      if (event?.op === 'switch') agent = event.agent;
      const by = this.cpuOf.get(event?.agent ?? agent) ?? 0;
      const draft = drafts[this.cpuOf.size > 1 ? by : this.turn()]!;
      if (event === undefined) putRun(draft, recorded[by]!, head, runFetches[i]!, runDatas[i]!);
      else if (event.op !== 'switch') putEvent(draft, recorded[by]!, event);
      for (; post < work.length && work[post]! <= i; post += 2)
        draft.posts.push(draft.heads.length - 1, work[post + 1]!);
    }
    return drafts.flatMap((draft, cpu) => (draft.heads.length === 0 ? [] : [pieceOf(draft, cpu)]));
  }

  /** The CPU whose record the next one is. */
  private turn(): number {
    return Math.floor(this.dealt++ / this.deal) % this.cpus;
  }
}

const closed = (): Open => ({ fetch: NONE, data: NONE, writes: false });
const emptyDraft = (): Draft => ({ heads: [], fetches: [], datas: [], events: [], posts: [], open: closed() });

function put({ heads, fetches, datas }: Draft, head: number, fetched: number, data: number): void {
  heads.push(head >>> 0);
  fetches.push(fetched);
  datas.push(data);
}

function putEvent(draft: Draft, recorded: Open, event: TraceEvent): void {
  Object.assign(recorded, closed());
  Object.assign(draft.open, closed());
  put(draft, (draft.events.length << HEAD_SHIFT) | HEAD_EVENT, 0, 0);
  draft.events.push(event);
}

/** A record; before it one access of the other kind, if its run is not the one that is open here. */
function putRun(draft: Draft, recorded: Open, head: number, fetches: number, datas: number): void {
  const { open } = draft;
  const op = head & HEAD_OP;
  const page = head >>> HEAD_SHIFT;
  const left = (head & HEAD_STRADDLE) !== 0 ? NONE : page;
  let [fetched, data] = [fetches, datas];
  if (op === FETCH && data > 0 && (open.data !== recorded.data || open.writes !== recorded.writes)) {
    put(draft, (recorded.data << HEAD_SHIFT) | (recorded.writes ? WRITE : READ), 0, 1);
    open.data = recorded.data;
    open.writes = recorded.writes;
    data--;
  } else if (op !== FETCH && fetched > 0 && open.fetch !== recorded.fetch) {
    put(draft, (recorded.fetch << HEAD_SHIFT) | FETCH, 1, 0);
    open.fetch = recorded.fetch;
    fetched--;
  }
  put(draft, head, fetched, data);
  for (const runs of [recorded, open]) {
    if (op === FETCH) runs.fetch = left;
    else {
      runs.data = left;
      runs.writes = op === WRITE;
    }
  }
}

function pieceOf({ heads, fetches, datas, events, posts }: Draft, cpu: number): Piece {
  return {
    cpu,
    records: heads.length,
    heads: Uint32Array.from(heads),
    runFetches: Uint16Array.from(fetches),
    runDatas: Uint16Array.from(datas),
    events,
    posts: Uint32Array.from(posts),
  };
}
