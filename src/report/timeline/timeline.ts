import { ACCESS_PHRASES, STEP_PHRASES } from '../../model/exploration.ts';
import type { LogEvent } from '../../model/log.ts';
import type { Timeline } from '../../model/timeline.ts';
import { Commands } from './commands.ts';
import { type Args, Drawing, type Slice, type Track } from './trace-event.ts';
import { Windows } from './windows.ts';

/** What steps do, beside what is said of them in drawings of schedules. */
const PHRASES: Readonly<Record<string, string>> = { ...STEP_PHRASES, IP: 'invalidate_page', IO: 'writes the page out' };
/** Steps that change a page-table entry: what an invalidation follows. */
const CHANGES = new Set(['PC', 'PS(swp)', 'PS(none)', 'PS(new)', 'PS(ro)', 'PS(clean)', 'PS(moved)']);
/** Where the way of a device access ends. */
const ENDS = new Set(['lands', 'lands by old entry', 'denied']);

/** A slice that has begun. */
interface Begun {
  readonly at: number;
  readonly name: string;
  readonly page: number | null;
}

/** A lock that an agent has. */
interface Hold {
  readonly name: string;
  readonly agent: number;
  readonly at: number;
}

/** What one agent is in the middle of. */
interface Doing {
  path?: Begun | undefined;
  step?: Begun | undefined;
  wait?: Begun | undefined;
  call?: Begun | undefined;
  access?: Begun | undefined;
  phase?: Begun | undefined;
}

/** A timeline as the JSON that Perfetto and chrome://tracing open, piece by piece. */
export function timelineText(timeline: Timeline, version: string): Iterable<string> {
  const { trace, policy, machine, model, from, to } = timeline;
  const about = { tool: `iommulator ${version}`, model, trace, policy, machine, from_ps: from, to_ps: to };
  return new Artist(timeline).draw().text(about);
}

/** Goes through the events of a timeline, and draws. */
class Artist {
  private readonly drawing = new Drawing();
  private readonly cpus: number;
  private readonly locks: number;
  private readonly devices: number;
  private readonly tracks: readonly (Track | undefined)[];
  private readonly doing: readonly Doing[];
  private readonly held = new Map<string, Hold>();
  private readonly commands: Commands;
  private readonly windows: Windows;

  constructor(private readonly timeline: Timeline) {
    const { drawing } = this;
    const { agents, to } = timeline;
    this.cpus = drawing.process('CPUs and kernel threads');
    this.locks = drawing.process('locks');
    const hardware = drawing.process('IOMMU');
    this.devices = drawing.process('devices');
    const seen = new Map<string, number>();
    const active = new Set(timeline.events.map(({ agent }) => agent));
    this.tracks = agents.map(({ name, kind }, i) => {
      if (kind === 'iommu' || kind === 'link' || kind === 'device' || !active.has(i)) return undefined;
      if (kind !== 'access') return drawing.track(this.cpus, name);
      const place = (seen.get(name) ?? 0) + 1;
      seen.set(name, place);
      return drawing.track(this.devices, `${name}, access in flight ${place}`);
    });
    this.doing = agents.map(() => ({}));
    this.commands = new Commands(drawing, hardware, this.cpus, to);
    this.windows = new Windows(drawing, this.devices, timeline);
  }

  draw(): Drawing {
    const { events, to } = this.timeline;
    for (const event of events) this.see(event);
    for (let agent = 0; agent < this.doing.length; agent++) this.endAll(agent, to);
    for (const hold of this.held.values()) this.drawHold(hold, to);
    this.commands.end();
    this.windows.end();
    return this.drawing;
  }

  private see(event: LogEvent): void {
    const { kind, agent, at, what, detail, page } = event;
    switch (kind) {
      case 'step':
        this.step(event);
        break;
      case 'lock':
        this.lock(event);
        break;
      case 'call':
        this.call(event);
        break;
      case 'device':
        this.device(event);
        break;
      case 'command':
        this.commands.see(event);
        break;
      case 'queue':
        this.commands.queue(event);
        break;
      case 'window':
      case 'due':
        this.windows.see(event);
        break;
      case 'access':
        if (what !== 'tlb') this.instant(agent, at, `${detail}: ${ACCESS_PHRASES[what]}`, 'cpu', page);
        break;
      case 'fault':
        this.instant(agent, at, `page fault: ${what}`, 'cpu', page);
        break;
      case 'free':
        this.instant(agent, at, `frame ${what} is free`, 'frame', page);
        break;
      case 'broken':
        this.windows.see(event);
        this.instant(agent, at, `${what} breaks`, 'broken', page);
        break;
      default:
    }
  }

  private instant(agent: number, at: number, name: string, cat: string, page: number | null): void {
    const track = this.tracks[agent];
    if (track !== undefined) this.drawing.instant(track, at, name, cat, this.args(page));
  }

  private args(page: number | null): Args {
    const number = page === null ? undefined : this.timeline.pages.get(page);
    return number === undefined ? {} : { page: `0x${number.toString(16)}` };
  }

  /** Draws what has begun, if anything has, and returns where. */
  private drawn(agent: number, begun: Begun | undefined, to: number, cat: string): Slice | undefined {
    const track = this.tracks[agent];
    if (begun === undefined || track === undefined) return undefined;
    return this.drawing.slice(track, begun.at, to, begun.name, cat, this.args(begun.page));
  }

  private step({ agent, at, what, detail, page }: LogEvent): void {
    const doing = this.doing[agent]!;
    this.endStep(agent, at);
    if (what === 'END') {
      this.drawn(agent, doing.path, at, 'path');
      doing.path = undefined;
      return;
    }
    doing.path ??= { at, name: detail, page };
    doing.step = { at, name: PHRASES[what] ?? what, page };
    // A fault brings a page in: nothing old is to be invalidated.
    if (CHANGES.has(what) && detail !== 'fault') this.commands.changed(agent, this.tracks[agent], at);
  }

  private endStep(agent: number, at: number): void {
    const doing = this.doing[agent]!;
    if (doing.step !== undefined && doing.step.at < at) this.drawn(agent, doing.step, at, 'step');
    doing.step = undefined;
  }

  private endAll(agent: number, at: number): void {
    const doing = this.doing[agent]!;
    this.endStep(agent, at);
    this.drawn(agent, doing.path, at, 'path');
    this.drawn(agent, doing.wait, at, 'wait');
    this.drawn(agent, doing.call, at, 'call');
    this.endAccess(agent, at, undefined);
  }

  private lock({ agent, at, what, detail, number }: LogEvent): void {
    const doing = this.doing[agent]!;
    const name = what === 'page-table lock' || what === 'IOVA lock' ? `${what} ${number}` : what;
    // Readers share mmap_lock.
    const key = what === 'mmap_lock' ? `${what} ${agent}` : name;
    if (detail === 'waits for') {
      doing.wait = { at, name: `waits for ${what === 'walker' ? 'a walker' : `the ${name}`}`, page: null };
      return;
    }
    // Several walk at once: who has a walker is to be seen on the accesses.
    if (detail === 'takes') {
      if (doing.wait !== undefined && doing.wait.at < at) this.drawn(agent, doing.wait, at, 'wait');
      doing.wait = undefined;
      if (what !== 'walker') this.held.set(key, { name, agent, at });
      return;
    }
    const hold = this.held.get(key);
    this.held.delete(key);
    if (hold !== undefined) this.drawHold(hold, at);
  }

  private drawHold({ name, agent, at }: Hold, to: number): void {
    this.drawing.lane(this.locks, name, at, to, `held by ${this.timeline.agents[agent]?.name ?? agent}`, 'lock');
  }

  private call({ agent, at, what, detail, number }: LogEvent): void {
    const doing = this.doing[agent]!;
    if (detail === 'begins') {
      doing.call = { at, name: `dma_${what} of mapping ${number}`, page: null };
      if (what === 'unmap') this.commands.changed(agent, this.tracks[agent], at);
      return;
    }
    this.drawn(agent, doing.call, at, 'call');
    doing.call = undefined;
  }

  /** An access in flight: from where it asks for its translation to where it lands, and where it is meanwhile. */
  private device({ agent, at, what, detail, page }: LogEvent): void {
    const doing = this.doing[agent]!;
    if (ENDS.has(what)) {
      this.endAccess(agent, at, what);
      if (what === 'lands by old entry') this.instant(agent, at, what, 'stale', page);
      return;
    }
    doing.access ??= { at, name: detail, page };
    if (doing.phase !== undefined && doing.phase.at < at) this.drawn(agent, doing.phase, at, 'translation');
    doing.phase = { at, name: what, page };
  }

  private endAccess(agent: number, at: number, how: string | undefined): void {
    const doing = this.doing[agent]!;
    const { access, phase } = doing;
    doing.access = doing.phase = undefined;
    if (access === undefined) return;
    const name = how === undefined || how === 'lands' ? access.name : `${access.name}: ${how}`;
    this.drawn(agent, { ...access, name }, at, how === 'lands by old entry' ? 'stale' : 'access');
    if (phase !== undefined && phase.at < at) this.drawn(agent, phase, at, 'translation');
  }
}
