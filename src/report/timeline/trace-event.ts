import { PS_PER_NS } from '../../model/units.ts';

/**
 * The Trace Event Format that chrome://tracing and Perfetto open ("Trace Event Format", Google, section "JSON Object
 * Format"): what of it is written here. Times are in microseconds, with three decimals.
 */
export type TraceEvent =
  | { ph: 'M'; name: 'process_name' | 'thread_name'; pid: number; tid: number; args: { name: string } }
  | {
      ph: 'M';
      name: 'process_sort_index' | 'thread_sort_index';
      pid: number;
      tid: number;
      args: { sort_index: number };
    }
  | { ph: 'X'; name: string; cat: string; pid: number; tid: number; ts: number; dur: number; args?: Args }
  | { ph: 'i'; name: string; cat: string; pid: number; tid: number; ts: number; s: 't'; args?: Args }
  | { ph: 'C'; name: string; pid: number; tid: number; ts: number; args: { [series: string]: number } }
  | ({ ph: 'b'; args?: Args } & Spanning)
  | ({ ph: 'n' } & Spanning)
  | ({ ph: 'e' } & Spanning)
  | ({ ph: 's' } & Flowing)
  | ({ ph: 't' } & Flowing)
  | ({ ph: 'f'; bp: 'e' } & Flowing);

type Spanning = { name: string; cat: string; id: string; pid: number; tid: number; ts: number };
type Flowing = { name: string; cat: string; id: number; pid: number; tid: number; ts: number };

/** What a viewer shows of an event that is clicked on. */
export type Args = Readonly<Record<string, string | number>>;

/** Where a slice or a flow stands. */
export interface Track {
  readonly pid: number;
  readonly tid: number;
}

/** A slice that has been drawn, to which flows can be tied. */
export interface Slice extends Track {
  readonly at: number;
}

/** An instant in picoseconds as the format has it. Rounded down, so that what lies within something still does. */
function micro(ps: number): number {
  return inMicroseconds(Math.floor(ps / PS_PER_NS));
}

/**
 * Whole nanoseconds in microseconds. Perfetto multiplies by 1000 and cuts off what is behind the point (json_utils.cc),
 * so that the little that is lost on the way would be a nanosecond, and inner slices would end behind outer ones.
 */
function inMicroseconds(ns: number): number {
  const us = ns / 1000;
  return us * 1000 < ns ? (ns + 0.125) / 1000 : us;
}

/** Draws processes, tracks and what stands on them; times in picoseconds. */
export class Drawing {
  readonly events: TraceEvent[] = [];
  private readonly tracks: { name: string; ends: number[]; tids: number[] }[] = [];
  private lastPid = 0;
  private lastTid = 0;
  private lastId = 0;

  /** A group of tracks, in the order of the calls. */
  process(name: string): number {
    const pid = ++this.lastPid;
    this.events.push({ ph: 'M', name: 'process_name', pid, tid: 0, args: { name } });
    this.events.push({ ph: 'M', name: 'process_sort_index', pid, tid: 0, args: { sort_index: pid } });
    return pid;
  }

  /** A track of a group, in the order of the calls. */
  track(pid: number, name: string): Track {
    const tid = ++this.lastTid;
    this.events.push({ ph: 'M', name: 'thread_name', pid, tid, args: { name } });
    this.events.push({ ph: 'M', name: 'thread_sort_index', pid, tid, args: { sort_index: tid } });
    return { pid, tid };
  }

  /** A slice on as many tracks as slices overlap; `lanes` names the first of them. */
  lane(pid: number, lanes: string, from: number, to: number, name: string, cat: string, args?: Args): Slice {
    let found = this.tracks.find((one) => one.name === `${pid} ${lanes}`);
    if (found === undefined) {
      found = { name: `${pid} ${lanes}`, ends: [], tids: [] };
      this.tracks.push(found);
    }
    let place = found.ends.findIndex((end) => micro(end) <= micro(from));
    if (place < 0) {
      place = found.ends.length;
      found.tids.push(this.track(pid, place === 0 ? lanes : `${lanes} (${place + 1})`).tid);
    }
    found.ends[place] = to;
    return this.slice({ pid, tid: found.tids[place]! }, from, to, name, cat, args);
  }

  /** A slice from one instant to another. */
  slice({ pid, tid }: Track, from: number, to: number, name: string, cat: string, args?: Args): Slice {
    const dur = inMicroseconds(Math.floor(to / PS_PER_NS) - Math.floor(from / PS_PER_NS));
    this.events.push({ ph: 'X', name, cat, pid, tid, ts: micro(from), dur, ...(args && { args }) });
    return { pid, tid, at: from };
  }

  /** Something that takes no time. */
  instant({ pid, tid }: Track, at: number, name: string, cat: string, args?: Args): void {
    this.events.push({ ph: 'i', name, cat, pid, tid, ts: micro(at), s: 't', ...(args && { args }) });
  }

  /** A number that stands until it is drawn anew. */
  counter(pid: number, name: string, at: number, value: number): void {
    this.events.push({ ph: 'C', name, pid, tid: 0, ts: micro(at), args: { [name]: value } });
  }

  /** A span of which several may be open at once, whatever their order, and instants in it. */
  span(
    pid: number,
    from: number,
    to: number,
    name: string,
    cat: string,
    args: Args,
    within: readonly { readonly at: number; readonly name: string }[],
  ): void {
    const rest = { cat, id: `0x${(++this.lastId).toString(16)}`, pid, tid: 0 };
    this.events.push({ ph: 'b', name, ...rest, ts: micro(from), args });
    for (const one of within) this.events.push({ ph: 'n', name: one.name, ...rest, ts: micro(one.at) });
    this.events.push({ ph: 'e', name, ...rest, ts: micro(to) });
  }

  /** An arrow from slice to slice. */
  flow(name: string, slices: readonly Slice[]): void {
    if (slices.length < 2) return;
    const id = ++this.lastId;
    slices.forEach(({ pid, tid, at }, i) => {
      const rest = { name, cat: 'flow', id, pid, tid, ts: micro(at) };
      if (i === slices.length - 1) this.events.push({ ph: 'f', bp: 'e', ...rest });
      else this.events.push({ ph: i === 0 ? 's' : 't', ...rest });
    });
  }

  /** The text of the file, piece by piece: outer slices before inner ones, so that viewers nest them. */
  *text(about: Readonly<Record<string, string | number>>): Generator<string> {
    const time = (event: TraceEvent): number => ('ts' in event ? event.ts : -1);
    const length = (event: TraceEvent): number => ('dur' in event ? event.dur : -1);
    const rows = this.events
      .map((event, i) => ({ event, i }))
      .sort((a, b) => time(a.event) - time(b.event) || length(b.event) - length(a.event) || a.i - b.i);
    yield `{"displayTimeUnit":"ns","otherData":${JSON.stringify(about)},"traceEvents":[\n`;
    for (let i = 0; i < rows.length; i += 1000) {
      const piece = rows.slice(i, i + 1000).map(({ event }) => JSON.stringify(event));
      yield piece.join(',\n') + (i + 1000 < rows.length ? ',\n' : '\n');
    }
    yield ']}\n';
  }
}
