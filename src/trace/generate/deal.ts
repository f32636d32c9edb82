import type { TraceAgent, TraceEvent } from '../../model/trace.ts';
import { type Chunk, HEAD_EVENT, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE } from '../format.ts';
import type { Posts } from './follow.ts';

/** Records, column by column. */
type Columns = Pick<Chunk, 'heads' | 'runFetches' | 'runDatas'>;

/** Some records of columns, one after the other. */
interface Span {
  readonly columns: Columns;
  readonly from: number;
  end: number;
}

/** What one CPU has to do in one chunk. */
export interface Piece {
  readonly cpu: number;
  readonly records: number;
  /** Where its records are: most of them in the chunk, which is copied only once, by `copyColumns`. */
  readonly spans: readonly Span[];
  readonly events: readonly TraceEvent[];
  /** By record of the piece. */
  readonly posts: Posts;
}

/** Writes the records of a piece into columns that have room for them. */
export function copyColumns({ spans }: Piece, { heads, runFetches, runDatas }: Columns): void {
  let at = 0;
  for (const { columns, from, end } of spans) {
    heads.set(columns.heads.subarray(from, end), at);
    runFetches.set(columns.runFetches.subarray(from, end), at);
    runDatas.set(columns.runDatas.subarray(from, end), at);
    at += end - from;
  }
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
  readonly events: TraceEvent[] = [];
  readonly posts: number[] = [];
  readonly open = closed();
  length = 0;
  private readonly spans: Span[] = [];
  /** Records that are not in the chunk as they are, and the columns that they will be in. */
  private readonly own = { heads: [] as number[], runFetches: [] as number[], runDatas: [] as number[] };
  private readonly columns = { heads: new Uint32Array(), runFetches: new Uint16Array(), runDatas: new Uint16Array() };

  put(head: number, fetches: number, datas: number): void {
    const { heads, runFetches, runDatas } = this.own;
    this.add(this.columns, heads.length, heads.length + 1);
    heads.push(head);
    runFetches.push(fetches);
    runDatas.push(datas);
  }

  /** Records of columns as they are. */
  add(columns: Columns, from: number, end: number): void {
    const last = this.spans.at(-1);
    if (last?.columns === columns && last.end === from) last.end = end;
    else this.spans.push({ columns, from, end });
    this.length += end - from;
  }

  piece(cpu: number): Piece {
    const { own, columns, length: records, spans, events, posts } = this;
    columns.heads = new Uint32Array(own.heads);
    columns.runFetches = new Uint16Array(own.runFetches);
    columns.runDatas = new Uint16Array(own.runDatas);
    return { cpu, records, spans, events, posts: new Uint32Array(posts) };
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
    if (this.cpus === 1) {
      return [{ cpu: 0, records, spans: [{ columns: chunk, from: 0, end: records }], events, posts: work }];
    }
    const drafts = Array.from({ length: this.cpus }, () => new Draft());
    const recorded: Open[] = drafts.map(closed);
    const several = this.cpuOf.size > 1;
    let agent = chunk.agent;
    let post = 0;
    let nextEvent = eventFrom(chunk, 0, 0);
    for (let i = 0; i < records; ) {
      const head = heads[i]!;
      const event = i === nextEvent ? events[head >>> HEAD_SHIFT]! : undefined;
      if (event !== undefined) nextEvent = eventFrom(chunk, (head >>> HEAD_SHIFT) + 1, i + 1);
      if (event?.op === 'switch') agent = event.agent;
      const by = this.cpuOf.get(event?.agent ?? agent) ?? 0;
      const draft = drafts[several ? by : Math.floor(this.dealt / this.deal) % this.cpus]!;
      let end = i + 1;
      if (event === undefined && agree(draft.open, recorded[by]!)) {
        end = several ? nextEvent : Math.min(nextEvent, i + this.deal - (this.dealt % this.deal));
        copyRuns(draft, recorded[by]!, chunk, i, end);
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

/** Where event `index` of a chunk stands, at record `from` or behind it; or the end of the chunk. They stand there in order. */
function eventFrom({ heads, events, records }: Chunk, index: number, from: number): number {
  return index < events.length ? heads.indexOf(((index << HEAD_SHIFT) | HEAD_EVENT) >>> 0, from) : records;
}

/** Records without events, the same runs being open. */
function copyRuns(draft: Draft, recorded: Open, chunk: Chunk, from: number, end: number): void {
  draft.add(chunk, from, end);
  // What is open then are the last of each kind, which are soon found.
  const fetch = lastRun(chunk.heads, from, end, true);
  const data = lastRun(chunk.heads, from, end, false);
  for (const runs of [recorded, draft.open]) {
    if (fetch !== undefined) begin(runs, fetch);
    if (data !== undefined) begin(runs, data);
  }
}

/** The last head of a kind among runs. */
function lastRun(heads: Uint32Array, from: number, end: number, fetch: boolean): number | undefined {
  for (let i = end - 1; i >= from; i--) if (((heads[i]! & HEAD_OP) === FETCH) === fetch) return heads[i]!;
  return undefined;
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
