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
class Draft {
  events: TraceEvent[] = [];
  posts: number[] = [];
  open = closed();
  length = 0;
  private readonly heads: Uint32Array;
  private readonly fetches: Uint16Array;
  private readonly datas: Uint16Array;

  constructor(room: number) {
    this.heads = new Uint32Array(room);
    this.fetches = new Uint16Array(room);
    this.datas = new Uint16Array(room);
  }

  /** The next piece begins. */
  clear(): void {
    this.events = [];
    this.posts = [];
    this.open = closed();
    this.length = 0;
  }

  put(head: number, fetches: number, datas: number): void {
    this.heads[this.length] = head;
    this.fetches[this.length] = fetches;
    this.datas[this.length++] = datas;
  }

  /** Records of a chunk as they are. */
  copy({ heads, runFetches, runDatas }: Chunk, from: number, end: number): void {
    this.heads.set(heads.subarray(from, end), this.length);
    this.fetches.set(runFetches.subarray(from, end), this.length);
    this.datas.set(runDatas.subarray(from, end), this.length);
    this.length += end - from;
  }

  piece(cpu: number): Piece {
    const { heads, fetches, datas, length: records, events, posts } = this;
    return {
      cpu,
      records,
      heads: heads.slice(0, records),
      runFetches: fetches.slice(0, records),
      runDatas: datas.slice(0, records),
      events,
      posts: new Uint32Array(posts),
    };
  }
}

/**
 * Who runs what: each recorded CPU its own records; or, where one was recorded and `cpus` are wanted, all of them in turn
 * some records, side by side. A run that another CPU had open is opened by one of its accesses, so that the accesses of
 * every page and kind stay what they were.
 */
export class Dealer {
  private readonly cpuOf: ReadonlyMap<number, number>;
  private dealt = 0;
  /** Of each CPU; at most one record is opened before each. */
  private drafts: readonly Draft[] = [];
  private room = 0;

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
    if (this.room < 2 * records) {
      this.room = 2 * records;
      this.drafts = Array.from({ length: this.cpus }, () => new Draft(this.room));
    }
    const { drafts } = this;
    for (const draft of drafts) draft.clear();
    const recorded: Open[] = drafts.map(closed);
    const several = this.cpuOf.size > 1;
    let agent = chunk.agent;
    let post = 0;
    for (let i = 0; i < records; ) {
      const head = heads[i]!;
      const event = (head & HEAD_OP) === HEAD_EVENT ? events[head >>> HEAD_SHIFT]! : undefined;
      if (event?.op === 'switch') agent = event.agent;
      const by = this.cpuOf.get(event?.agent ?? agent) ?? 0;
      const draft = drafts[several ? by : Math.floor(this.dealt / this.deal) % this.cpus]!;
      let end = i + 1;
      if (event === undefined && agree(draft.open, recorded[by]!)) {
        end = several ? records : Math.min(records, i + this.deal - (this.dealt % this.deal));
        end = copyRuns(draft, recorded[by]!, chunk, i, end);
      } else if (event === undefined) putRun(draft, recorded[by]!, head, runFetches[i]!, runDatas[i]!);
      else if (event.op !== 'switch') putEvent(draft, recorded[by]!, event);
      for (; post < work.length && work[post]! < end; post += 2)
        draft.posts.push(draft.length - (end - work[post]!), work[post + 1]!);
      this.dealt += end - i;
      i = end;
    }
    return drafts.flatMap((draft, cpu) => (draft.length === 0 ? [] : [draft.piece(cpu)]));
  }
}

const closed = (): Open => ({ fetch: NONE, data: NONE, writes: false });

/** Whether the same runs are open: until the next event a CPU then runs records as they are. */
function agree(open: Open, recorded: Open): boolean {
  return open.fetch === recorded.fetch && open.data === recorded.data && open.writes === recorded.writes;
}

/** The records from `from` up to an event or `end`, the same runs being open. Returns where it stopped. */
function copyRuns(draft: Draft, recorded: Open, chunk: Chunk, from: number, end: number): number {
  const { heads } = chunk;
  let fetch = NONE;
  let data = NONE;
  let i = from;
  for (; i < end; i++) {
    const op = heads[i]! & HEAD_OP;
    if (op === HEAD_EVENT) break;
    if (op === FETCH) fetch = i;
    else data = i;
  }
  draft.copy(chunk, from, i);
  for (const runs of [recorded, draft.open]) {
    if (fetch !== NONE) begin(runs, heads[fetch]!);
    if (data !== NONE) begin(runs, heads[data]!);
  }
  return i;
}

/** The run of a record is the open one of its kind; behind a second half none is. */
function begin(runs: Open, head: number): void {
  const op = head & HEAD_OP;
  const page = (head & HEAD_STRADDLE) !== 0 ? NONE : head >>> HEAD_SHIFT;
  if (op === FETCH) runs.fetch = page;
  else {
    runs.data = page;
    runs.writes = op === WRITE;
  }
}

function putEvent(draft: Draft, recorded: Open, event: TraceEvent): void {
  Object.assign(recorded, closed());
  Object.assign(draft.open, closed());
  draft.put((draft.events.length << HEAD_SHIFT) | HEAD_EVENT, 0, 0);
  draft.events.push(event);
}

/** A record; before it one access of the other kind, if its run is not the one that is open here. */
function putRun(draft: Draft, recorded: Open, head: number, fetches: number, datas: number): void {
  const { open } = draft;
  const op = head & HEAD_OP;
  let [fetched, data] = [fetches, datas];
  if (op === FETCH && data > 0 && (open.data !== recorded.data || open.writes !== recorded.writes)) {
    draft.put((recorded.data << HEAD_SHIFT) | (recorded.writes ? WRITE : READ), 0, 1);
    open.data = recorded.data;
    open.writes = recorded.writes;
    data--;
  } else if (op !== FETCH && fetched > 0 && open.fetch !== recorded.fetch) {
    draft.put((recorded.fetch << HEAD_SHIFT) | FETCH, 1, 0);
    open.fetch = recorded.fetch;
    fetched--;
  }
  draft.put(head, fetched, data);
  for (const runs of [recorded, open]) begin(runs, head);
}
