import { TraceError } from '../model/errors.ts';
import { EVENTS, type ImportTally, type TraceMeta } from '../model/trace.ts';
import { accessesOf, type Item, itemsOf } from './export/accesses.ts';
import type { Trace } from './reader.ts';
import type { Provenance, TraceWriter } from './writer.ts';

/** A trace that is merged, with the name of its file. */
export interface Part {
  readonly name: string;
  readonly trace: Trace;
}

/** Tokens of one trace lie below this, so that those of the next can be told from them. */
const TOKENS = 2 ** 40;

/** What is added to the numbers of a trace so that they do not meet those of the traces before it. */
interface Offsets {
  readonly agent: number;
  readonly space: number;
  readonly instance: number;
  readonly token: number;
}

/**
 * Writes the records of several traces into one, each with agents, spaces and mappings of its own. Records of each keep their
 * order; between traces nothing tells it, and each is spread evenly over the whole. Recorded outcomes are left out.
 */
export function mergeTraces(parts: readonly Part[], out: TraceWriter, onRecord: () => void = () => {}): Provenance {
  for (const { name, trace } of parts)
    if (trace.meta.schedule !== undefined) throw new TraceError(name, 'is scheduled: merged, its order would be lost');
  const offsets = parts.map(({ name, trace }, i) => enter(name, trace.meta, i, parts, out));
  const streams = parts.map(({ trace }) => {
    return { items: itemsOf(trace), done: 0, records: Math.max(1, trace.meta.counts.records) };
  });
  const live = new Set(streams.keys());
  while (live.size > 0) {
    let least = -1;
    for (const i of live) {
      const [mine, other] = [streams[i]!, streams[least]];
      if (!other || mine.done / mine.records < other.done / other.records) least = i;
    }
    const stream = streams[least]!;
    const { done, value } = stream.items.next();
    if (done) live.delete(least);
    else write(value, offsets[least]!, out);
    stream.done++;
    onRecord();
  }
  return {
    source: { format: 'merge', file: parts.map(({ name }) => name).join(' + ') },
    tally: sum(parts.map(({ trace }) => trace.meta.tally)),
    inferred: [
      'Records of each trace keep their order; between traces nothing tells it: each is spread evenly over the whole.',
      ...parts.flatMap(({ name, trace }) => trace.meta.inferred.map((sentence) => `${name}: ${sentence}`)),
    ],
  };
}

/** Agents and spaces of a trace; a name that another trace has, too, gets that of its file. */
function enter(name: string, meta: TraceMeta, at: number, parts: readonly Part[], out: TraceWriter): Offsets {
  const others = parts.filter((_, i) => i !== at).flatMap(({ trace: { meta } }) => [...meta.agents, ...meta.spaces]);
  const named = (own: string): string => (others.some((other) => other.name === own) ? `${name} ${own}` : own);
  const spaces = meta.spaces.map((space) => out.space(named(space.name), space.kind));
  const agents = meta.agents.map((agent) => out.agent(named(agent.name), agent.kind, spaces[agent.space]!));
  const instance = parts.slice(0, at).reduce((total, { trace }) => total + trace.meta.counts.instances, 0);
  return { agent: agents[0] ?? 0, space: spaces[0] ?? 0, instance, token: at * TOKENS };
}

function write(item: Item, { agent, ...offsets }: Offsets, out: TraceWriter): void {
  if ('event' in item) {
    const { op, fields, gap } = item.event;
    if (op === 'switch') return;
    const names: readonly string[] = EVENTS[op];
    const moved = fields.map((value, i) => {
      const name = names[i]!;
      if (name === 'token' && value >= TOKENS) throw new TraceError(`event ${op}`, `has the token ${value}`);
      return name === 'space' || name === 'instance' || name === 'token' ? value + offsets[name] : value;
    });
    out.event(item.event.agent + agent, op, moved, gap);
    return;
  }
  for (const { kind, vpn, times, second } of accessesOf(item.run, item.next))
    for (let i = 0; i < times; i++) out.access(item.run.agent + agent, kind, vpn, second);
}

function sum(tallies: readonly ImportTally[]): ImportTally {
  const total = (of: (tally: ImportTally) => number): number => tallies.reduce((all, tally) => all + of(tally), 0);
  const rules: Record<string, number> = {};
  const rejections: Record<string, { lines: number; first: number }> = {};
  for (const tally of tallies) {
    for (const [rule, lines] of Object.entries(tally.rules)) rules[rule] = (rules[rule] ?? 0) + lines;
    for (const [kind, { lines, first }] of Object.entries(tally.rejections ?? {}))
      rejections[kind] = { lines: (rejections[kind]?.lines ?? 0) + lines, first: rejections[kind]?.first ?? first };
  }
  return {
    lines: total(({ lines }) => lines),
    accepted: total(({ accepted }) => accepted),
    rejected: total(({ rejected }) => rejected),
    ignored: total(({ ignored }) => ignored),
    rules,
    ...(Object.keys(rejections).length > 0 && { rejections }),
  };
}
