import fc from 'fast-check';
import {
  EVENT_NAMES,
  EVENTS,
  type EventName,
  OUTCOMES,
  type Outcome,
  type OutcomeKind,
  RUN_OPS,
  SCHEDULED_EVENTS,
  type TraceEvent,
  type TracePage,
} from '../src/model/trace.ts';
import type { Access } from '../src/reference/tlb.ts';
import { codec } from '../src/trace/input.ts';
import { type ByteSource, openTrace, type Trace } from '../src/trace/reader.ts';
import { recordsOf, type TraceRecord } from '../src/trace/records.ts';
import { type Provenance, TraceWriter } from '../src/trace/writer.ts';

/** One step of a program, as an importer would tell it to a writer. */
export type Step =
  | {
      readonly access: (typeof RUN_OPS)[number];
      readonly agent: number;
      readonly vpn: number;
      readonly straddle: boolean;
    }
  | {
      readonly event: Exclude<EventName, 'switch'>;
      readonly agent: number;
      readonly fields: number[];
      readonly gap: number;
    }
  | { readonly outcome: OutcomeKind; readonly line: number; readonly values: number[] };

/** What agents do, one step after the other. Agent i works in space `agents[i]`. */
export interface Program {
  readonly interleaved: boolean;
  readonly spaces: number;
  readonly agents: readonly number[];
  /** The first so many of them are CPUs, the others devices; 1 if not given. */
  readonly cpus?: number;
  readonly steps: readonly Step[];
}

/** How programs are drawn. */
export interface Draw {
  readonly agents: number;
  /** Page numbers of accesses. */
  readonly vpn: fc.Arbitrary<number>;
  readonly events: readonly Exclude<EventName, 'switch'>[];
  /** Fields other than spaces and instances, and think time. */
  readonly field: (op: EventName, name: string) => fc.Arbitrary<number>;
  readonly steps: number;
  readonly interleaved?: boolean;
}

/** Every event but `switch`, which writers make themselves. */
export const ALL_EVENTS = EVENT_NAMES.filter((op) => op !== 'switch') as Exclude<EventName, 'switch'>[];

/** Random programs. Every program is valid: spaces exist, instances are mapped before they are used. */
export function programs(draw: Draw): fc.Arbitrary<Program> {
  const spaces = 2;
  const agent = fc.nat(draw.agents - 1);
  const access = fc.record({
    access: fc.constantFrom(...RUN_OPS),
    agent,
    vpn: draw.vpn,
    straddle: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  });
  const event = fc.constantFrom(...draw.events).chain((op) =>
    fc.record({
      event: fc.constant(op),
      agent,
      gap: draw.field(op, 'gap'),
      fields: fc.tuple(
        ...EVENTS[op].map((name: string) => (name === 'space' ? fc.nat(spaces - 1) : draw.field(op, name))),
      ) as fc.Arbitrary<number[]>,
    }),
  );
  const outcome = fc.record({
    outcome: fc.constantFrom(...OUTCOMES),
    line: fc.nat(),
    values: fc.array(fc.maxSafeNat(), { maxLength: 4 }),
  });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { arbitrary: access, weight: 12 },
    { arbitrary: event, weight: 2 },
    { arbitrary: outcome, weight: 1 },
  );
  return fc
    .record({
      interleaved: draw.interleaved === undefined ? fc.boolean() : fc.constant(draw.interleaved),
      agents: fc.array(fc.nat(spaces - 1), { minLength: draw.agents, maxLength: draw.agents }),
      steps: fc.array(step, { maxLength: draw.steps, size: 'max' }),
    })
    .map(({ interleaved, agents, steps }) => ({ interleaved, agents, spaces, steps: withInstances(steps) }));
}

/** The steps with instances that exist: those before the first `map` are left out, others are taken modulo. */
function withInstances(steps: readonly Step[]): Step[] {
  let instances = 0;
  return steps.flatMap((step): Step[] => {
    if (!('event' in step)) return [step];
    const at = (EVENTS[step.event] as readonly string[]).indexOf('instance');
    if (at < 0) return [step];
    if (step.event !== 'map' && instances === 0) return [];
    const instance = step.event === 'map' ? step.fields[at]! % 1000 : step.fields[at]! % instances;
    if (step.event === 'map') instances = Math.max(instances, instance + 1);
    return [{ ...step, fields: step.fields.with(at, instance) }];
  });
}

/** What stands in the meta chunk of every trace made here. */
export const PROVENANCE: Provenance = {
  source: { format: 'test', file: 'ünït "1".lk' },
  tally: { lines: 3, accepted: 1, rejected: 1, ignored: 1, rules: { 'empty line': 1 } },
  inferred: ['Nothing is real.', 'Neither | is this, "nor" this.'],
};

/** The program as the bytes of a trace. */
export function writeProgram(program: Program): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new TraceWriter({ write: (bytes) => parts.push(bytes.slice()) }, codec, program.interleaved);
  if (program.steps.some((step) => 'event' in step && SCHEDULED_EVENTS.has(step.event)))
    writer.schedule = { entries: 2 };
  for (let i = 0; i < program.spaces; i++) writer.space(`space ${i}`, i === 0 ? 'mm' : 'domain');
  for (const [i, space] of program.agents.entries())
    writer.agent(`cpu${i}`, i < (program.cpus ?? 1) ? 'cpu' : 'device', space);
  for (const step of program.steps) {
    if ('access' in step) writer.access(step.agent, RUN_OPS.indexOf(step.access), step.vpn, step.straddle);
    else if ('event' in step) writer.event(step.agent, step.event, step.fields, step.gap);
    else writer.outcome(step.outcome, step.line, step.values);
  }
  writer.finish(PROVENANCE);
  return Buffer.concat(parts);
}

/** A program that goes round 600 pages and unmaps some: half of its memory is not enough, and a device has late work. */
export const RECLAIMED: Program = {
  interleaved: false,
  spaces: 1,
  agents: [0],
  steps: Array.from({ length: 30_000 }, (_, i): Step[] => {
    const access = i % 3 === 0 ? 'read' : 'write';
    const used: Step = { access, agent: 0, vpn: 4096 + (((i >> 3) * 7) % 600), straddle: false };
    if (i % 5000 !== 0) return [used];
    const first = 4096 + (i % 600);
    return [used, { event: 'munmap', agent: 0, fields: [0, first, first + 20], gap: 0 }];
  }).flat(),
};

export function memorySource(bytes: Uint8Array): ByteSource {
  // A copy, since decoded columns are views of whatever buffer a source gives.
  return { size: bytes.length, read: (offset, length) => bytes.slice(offset, offset + length) };
}

export function openBytes(bytes: Uint8Array): Trace {
  return openTrace(memorySource(bytes), codec, 'test.trace');
}

/** Everything that a trace says, for `toEqual`. */
export interface Content {
  readonly meta: Trace['meta'];
  readonly records: readonly TraceRecord[];
  readonly outcomes: readonly Outcome[];
}

export function contentOf(trace: Trace): Content {
  const pages: TracePage[] = [];
  const records: TraceRecord[] = [];
  for (const chunk of trace.chunks()) {
    pages.push(...chunk.pages);
    for (const record of recordsOf(chunk, pages)) records.push(record);
  }
  return { meta: trace.meta, records, outcomes: [...trace.outcomes()].flat() };
}

/** The program as the reference takes it: accesses and address-space changes. */
export function* stepsOf(program: Program): Generator<Access | TraceEvent> {
  for (const step of program.steps) {
    if ('access' in step) {
      const { access, agent, vpn, straddle } = step;
      yield { fetch: access === 'fetch', space: program.agents[agent]!, vpn, straddle };
    } else if ('event' in step) {
      yield { op: step.event, agent: step.agent, gap: step.gap, fields: step.fields };
    }
  }
}
