import { TraceError } from '../model/errors.ts';
import { MAX_AGENTS, MAX_PAGES, MAX_SCHEDULE_ENTRIES } from '../model/limits.ts';
import type { ImportTally, TraceCounts, TraceMeta, TraceSchedule, TraceSource } from '../model/trace.ts';

/** Sentences of `inferred`, and rules of a tally. */
const MAX_SENTENCES = 1000;

/** Keys of `TraceMeta.counts`, all of them. */
const COUNTS = [
  'records',
  'fetches',
  'datas',
  'straddledFetches',
  'straddledDatas',
  'events',
  'pages',
  'tables',
  'mmOps',
  'maps',
  'unmaps',
  'dma',
  'instances',
] as const satisfies readonly (keyof TraceCounts)[];

/** What the meta chunk or the head of a text says must not reach the rest of the program with a missing or odd part. */
export class MetaChecks {
  constructor(private readonly place: string) {}

  meta(value: unknown): TraceMeta {
    const meta = value as TraceMeta;
    if (!isObject(value) || meta.format !== 1) this.bad('has no "format": 1');
    if (!isList(meta.spaces, MAX_AGENTS)) this.bad('spaces is not a short list');
    for (const space of meta.spaces) {
      const known = space?.kind === 'mm' || space?.kind === 'domain';
      if (!known || typeof space.name !== 'string') this.bad('has a malformed space');
    }
    if (!isList(meta.agents, MAX_AGENTS)) this.bad('agents is not a short list');
    for (const agent of meta.agents) {
      const known = typeof agent?.name === 'string' && (agent.kind === 'cpu' || agent.kind === 'device');
      if (!known || !isCount(agent.space) || agent.space >= meta.spaces.length) this.bad('has a malformed agent');
    }
    if (!isObject(meta.counts)) this.bad('has no counts');
    for (const key of COUNTS) this.count(`counts.${key}`, meta.counts[key]);
    if (meta.counts.pages > MAX_PAGES) this.bad(`counts.pages is ${meta.counts.pages}, expected at most ${MAX_PAGES}`);
    if (typeof meta.interleaved !== 'boolean') this.bad('interleaved is neither true nor false');
    if (meta.schedule !== undefined) this.schedule(meta.schedule);
    this.source(meta.source);
    this.tally(meta.tally);
    this.inferred(meta.inferred);
    return meta;
  }

  schedule(value: unknown): TraceSchedule {
    const schedule = value as TraceSchedule;
    if (
      !isObject(value) ||
      !isCount(schedule.entries) ||
      schedule.entries < 1 ||
      schedule.entries > MAX_SCHEDULE_ENTRIES ||
      (schedule.walk !== undefined && schedule.walk !== 'split')
    )
      this.bad(`schedule is not {"entries": 1..${MAX_SCHEDULE_ENTRIES}}, with "walk": "split" or without`);
    return schedule;
  }

  source(value: unknown): TraceSource {
    const source = value as TraceSource;
    if (!isObject(value) || typeof source.format !== 'string' || typeof source.file !== 'string')
      this.bad('source is not {"format": NAME, "file": NAME}');
    return source;
  }

  tally(value: unknown): ImportTally {
    const tally = value as ImportTally;
    if (!isObject(value) || !isObject(tally.rules)) this.bad('tally has no rules');
    for (const key of ['lines', 'accepted', 'rejected', 'ignored'] as const) this.count(`tally.${key}`, tally[key]);
    const { lines, accepted, rejected, ignored } = tally;
    if (accepted + rejected + ignored !== lines)
      this.bad(`tally has ${lines} lines, expected ${accepted} + ${rejected} + ${ignored}`);
    const rules = Object.entries(tally.rules);
    if (rules.length > MAX_SENTENCES) this.bad('tally has too many rules');
    for (const [rule, count] of rules) this.count(`tally.rules["${rule}"]`, count);
    const { rejections = {} } = tally;
    if (!isObject(rejections) || Object.keys(rejections).length > MAX_SENTENCES) this.bad('tally has odd rejections');
    for (const [kind, rejection] of Object.entries(rejections)) {
      this.count(`tally.rejections["${kind}"].lines`, rejection?.lines);
      this.count(`tally.rejections["${kind}"].first`, rejection?.first);
    }
    return tally;
  }

  inferred(value: unknown): readonly string[] {
    if (!isList(value, MAX_SENTENCES) || !value.every((item) => typeof item === 'string'))
      this.bad('inferred is not a short list of sentences');
    return value as string[];
  }

  private count(what: string, value: unknown): void {
    if (!isCount(value)) this.bad(`${what} is ${JSON.stringify(value)}, expected a count`);
  }

  private bad(what: string): never {
    throw new TraceError(this.place, what);
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isList(value: unknown, most: number): value is unknown[] {
  return Array.isArray(value) && value.length <= most;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
