/** One run, logged: a first pass finds the stretch that is asked for, a second one logs all that happens in it. */
import { DmaEngine } from '../engine/dma.ts';
import type { LogSelection } from '../engine/log.ts';
import { MachineEngine } from '../engine/machine.ts';
import { ScheduledEngine } from '../engine/scheduled.ts';
import { Interrupted, UsageError } from '../model/errors.ts';
import { LOG_KINDS, type LogEvent, type LogKind } from '../model/log.ts';
import { MODEL } from '../model/result.ts';
import { type Found, LANDMARKS, Search, type Stretch, type Timeline } from '../model/timeline.ts';
import { PS_PER_NS } from '../model/units.ts';
import { Follower } from '../trace/generate/follow.ts';
import { engineModule } from '../trace/module.ts';
import type { Trace } from '../trace/reader.ts';
import { recordingAgents, spaceAgents } from './agents.ts';
import { pageNumbers } from './compare-space.ts';
import type { DmaJob, MachineJob } from './job.ts';
import { type LocatedTrace, useTrace } from './locate.ts';
import { type CompareRequest, planOf } from './plan.ts';
import type { PoolOptions } from './pool.ts';

/** Events of one timeline: what a viewer still opens at once. */
const MOST_EVENTS = 1 << 18;
/** What is shown before and after a landmark's window at least, ps. */
const MARGIN = 20_000 * PS_PER_NS;
/** What is shown where there is no landmark, ps. */
const BEGINNING = 1_000_000 * PS_PER_NS;

/** Events in the order in which they were logged. Returns whether no more are wanted. */
type OnEvents = (events: readonly LogEvent[], lost: number, pageNumber?: (page: number) => number) => boolean;

/** Logs a stretch of the run of one policy on one machine. */
export async function recordTimeline(
  trace: LocatedTrace,
  request: CompareRequest,
  stretch: Stretch,
  options: PoolOptions = {},
): Promise<Timeline> {
  const { pairs, jobs } = planOf(trace, request);
  const job = jobs.at(-1)!;
  const [pair, ...more] = pairs;
  if (pair === undefined || more.length > 0)
    throw new UsageError('timeline takes one policy and one machine; `compare` takes several');
  const given = stretch.from !== undefined || stretch.to !== undefined;
  const share = given ? 1 : 0.5;
  const pass = (selection: LogSelection, begun: number, onEvents: OnEvents): Promise<void> =>
    useTrace(trace.path, (opened) =>
      logRun(opened, job, selection, onEvents, async (records) => {
        // Signals come through between two chunks.
        await new Promise((resolve) => setImmediate(resolve));
        options.onProgress?.(begun + (share * records) / Math.max(1, trace.meta.counts.records));
        if (options.signal?.aborted) throw new Interrupted('interrupted');
      }),
    );
  const { from, to, why } = given
    ? { from: stretch.from ?? 0, to: stretch.to ?? Number.MAX_SAFE_INTEGER, why: '' }
    : await findStretch(stretch.around, (selection, onEvents) => pass(selection, 0, onEvents));
  const events: LogEvent[] = [];
  const pages = new Map<number, number>();
  const everything = { room: MOST_EVENTS, kinds: Object.keys(LOG_KINDS) as LogKind[], from, to };
  await pass(everything, 1 - share, (more, lost, pageNumber) => {
    for (const event of more) {
      events.push(event);
      if (event.page !== null && pageNumber) pages.set(event.page, pageNumber(event.page));
    }
    if (events.length + lost <= MOST_EVENTS) return false;
    throw new UsageError(
      `more than ${MOST_EVENTS} events between ${milliseconds(from)} and ${milliseconds(to)}, expected a shorter stretch: --from and --to, or --around`,
    );
  });
  if (job.kind === 'machine') {
    const wanted = new Set(events.flatMap(({ page }) => (page === null ? [] : [page])));
    for (const [page, vpn] of pageNumbers(trace, wanted)) pages.set(page, vpn);
  }
  const last = events.reduce((latest, { at }) => Math.max(latest, at), from);
  const agents =
    job.kind === 'dma'
      ? recordingAgents(trace.meta, pair.machine)
      : spaceAgents(trace.meta, pair.machine, job.setup.cpus);
  const { policy, machine } = pair;
  const names = { trace: trace.name, policy: policy.name, machine: machine.name, model: MODEL };
  return { ...names, from, to: Math.min(to, last), why, agents, events, pages };
}

async function findStretch(
  around: Stretch['around'],
  pass: (selection: LogSelection, onEvents: OnEvents) => Promise<void>,
): Promise<{ from: number; to: number; why: string }> {
  const search = new Search(around);
  const kinds: LogKind[] = ['window', 'due', 'broken', ...(around?.landmark === 'stale' ? (['device'] as const) : [])];
  await pass({ room: MOST_EVENTS * 4, kinds, from: 0, to: Number.MAX_SAFE_INTEGER }, (events) => {
    for (const event of events) search.see(event);
    return search.isOver();
  });
  const found = search.result();
  if (found !== undefined) return aroundWindow(found);
  if (around !== undefined)
    throw new UsageError(
      `--around ${around.landmark}${around.nth > 1 ? `:${around.nth}` : ''}: it does not happen in this run (${LANDMARKS[around.landmark]})`,
    );
  return { from: 0, to: BEGINNING, why: 'the beginning: no page had an old copy' };
}

function aroundWindow({ landmark, nth, at, opened, closed }: Found): { from: number; to: number; why: string } {
  const end = Math.max(at, closed ?? at);
  const margin = Math.max(MARGIN, (end - opened) / 10);
  const which = nth === 1 ? 'the first' : `number ${nth}`;
  const why = `around ${which}: ${LANDMARKS[landmark]}, at ${milliseconds(at)}`;
  return { from: Math.max(0, Math.floor(opened - margin)), to: Math.ceil(end + margin), why };
}

/** Runs a job with its log on, as far as events are wanted. */
async function logRun(
  trace: Trace,
  job: MachineJob | DmaJob,
  selection: LogSelection,
  onEvents: OnEvents,
  onRecords: (records: number) => Promise<void>,
): Promise<void> {
  let records = 0;
  if (job.kind === 'dma') {
    const engine = new DmaEngine(engineModule(), job.setup, trace.meta, selection);
    for (const chunk of trace.chunks()) {
      engine.feed(chunk);
      records += chunk.records;
      await onRecords(records);
    }
    engine.finish();
    const { events, lost } = engine.log!.take();
    onEvents(events, lost, engine.pageNumber);
    return;
  }
  const { setup } = job;
  if (trace.meta.schedule !== undefined) {
    const engine = new ScheduledEngine(engineModule(), setup, trace.meta, selection);
    for (const chunk of trace.chunks()) engine.feed(chunk);
    engine.finish();
    const { events, lost } = engine.log!.take();
    onEvents(events, lost);
    return;
  }
  const engine = new MachineEngine(engineModule(), setup, trace.meta, undefined, selection);
  const follower = setup.device === null ? undefined : new Follower(setup.device, setup.seed);
  const take = (): boolean => {
    const { events, lost } = engine.log!.take();
    return onEvents(events, lost) || engine.isPast(selection.to);
  };
  for (const chunk of trace.chunks()) {
    engine.feed(chunk, follower?.posts(chunk));
    records += chunk.records;
    await onRecords(records);
    if (take()) return;
  }
  engine.finish();
  take();
}

function milliseconds(ps: number): string {
  return `${Math.round(ps / PS_PER_NS) / 1e6} ms`;
}
