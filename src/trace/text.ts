import { TraceError } from '../model/errors.ts';
import { MAX_RUN } from '../model/limits.ts';
import {
  EVENT_NAMES,
  EVENTS,
  type EventName,
  OUTCOMES,
  type Outcome,
  type OutcomeKind,
  RUN_OPS,
  type Run,
  type TraceMeta,
  type TracePage,
} from '../model/trace.ts';
import { MAX_FIELD } from './format.ts';
import { MetaChecks } from './meta.ts';
import type { Trace } from './reader.ts';
import { recordsOf } from './records.ts';
import type { Provenance, TraceWriter } from './writer.ts';

/**
 * The text form of a trace: lossless, one line a record, fields apart by one space. traces/FORMAT.md describes it.
 *
 *   iommulator trace text 1
 *   source|tally|inferred|interleaved JSON     provenance
 *   schedule JSON                              of a scheduled trace
 *   space NAME mm|domain                       numbered from 0 in order
 *   agent NAME cpu|device SPACE                numbered from 0 in order
 *   by AGENT                                   whose runs follow
 *   fetch|read|write[+] VPN FETCHES DATAS      the start of a run; + is the second half of a crossing; VPN in hex
 *   EVENT AGENT GAP FIELD...                   an event; page numbers, frames and all else in decimal
 *   = OUTCOME LINE VALUE...                    what the recorded machine did after the record above
 */
export const TEXT_MAGIC = 'iommulator trace text 1';

const RUN = new RegExp(`^(${RUN_OPS.join('|')})\\+?$`);
const RUN_LINE = new RegExp(`^(${RUN_OPS.join('|')})(\\+?) ([0-9a-f]{1,12}) (\\d{1,5}) (\\d{1,5})$`);

/** A trace as text, in pieces of many lines. */
export function* textOf(trace: Trace): Generator<string> {
  const { meta } = trace;
  yield headText(meta);
  const outcomes = flatten(trace.outcomes());
  let outcome = outcomes.next();
  const pages: TracePage[] = [];
  let index = -1;
  let by = -1;
  let out = '';
  const drain = (): void => {
    for (; !outcome.done && outcome.value.record <= index; outcome = outcomes.next()) out += outcomeText(outcome.value);
  };
  drain();
  for (const chunk of trace.chunks()) {
    for (const page of chunk.pages) pages.push(page);
    for (const record of recordsOf(chunk, pages)) {
      index++;
      if ('run' in record) {
        if (record.agent !== by) out += `by ${record.agent}\n`;
        by = record.agent;
        const { op, straddle, fetches, datas } = record.run;
        out += `${op}${straddle ? '+' : ''} ${record.page.vpn.toString(16)} ${fetches} ${datas}\n`;
      } else if (record.event.op !== 'switch') {
        const { op, agent, gap, fields } = record.event;
        out += `${op} ${agent} ${gap}${fields.map((field) => ` ${field}`).join('')}\n`;
      }
      drain();
      if (out.length > 1 << 16) {
        yield out;
        out = '';
      }
    }
  }
  yield out;
}

function headText(meta: TraceMeta): string {
  const lines = [TEXT_MAGIC, `source ${JSON.stringify(meta.source)}`, `tally ${JSON.stringify(meta.tally)}`];
  lines.push(`inferred ${JSON.stringify(meta.inferred)}`, `interleaved ${meta.interleaved}`);
  if (meta.schedule !== undefined) lines.push(`schedule ${JSON.stringify(meta.schedule)}`);
  for (const space of meta.spaces) lines.push(`space ${JSON.stringify(space.name)} ${space.kind}`);
  for (const agent of meta.agents) lines.push(`agent ${JSON.stringify(agent.name)} ${agent.kind} ${agent.space}`);
  return `${lines.join('\n')}\n`;
}

function outcomeText(outcome: Outcome): string {
  return `= ${outcome.kind} ${outcome.line}${outcome.values.map((value) => ` ${value}`).join('')}\n`;
}

function* flatten<T>(lists: Iterable<readonly T[]>): Generator<T> {
  for (const list of lists) yield* list;
}

/** Reads the text form line by line into a writer. */
export class TextReader {
  private readonly provenance: Partial<Provenance> = {};
  private by = 0;
  private agents = 0;
  private spaces = 0;
  private line = 0;

  constructor(
    private readonly file: string,
    private readonly out: TraceWriter,
  ) {}

  /** One line, without its end. */
  read(text: string): void {
    this.line++;
    try {
      this.parse(text);
    } catch (error) {
      // What the writer refuses is known by no line.
      if (!(error instanceof TraceError) || error.place.startsWith(`${this.file}:`)) throw error;
      throw new TraceError(`${this.file}:${this.line}`, `read ${shown(text)}: ${error.message}`);
    }
  }

  private parse(text: string): void {
    if (this.line === 1) {
      if (text !== TEXT_MAGIC) this.fail(text, `"${TEXT_MAGIC}"`);
      return;
    }
    const space = text.indexOf(' ');
    const word = space === -1 ? text : text.slice(0, space);
    const rest = text.slice(word.length + 1);
    if (word === '=') this.outcome(text, rest.split(' '));
    else if (RUN.test(word)) this.run(text);
    else if ((EVENT_NAMES as readonly string[]).includes(word))
      this.event(text, word as EventName, this.numbers(text, rest));
    else this.head(text, word, rest);
  }

  finish(): Provenance {
    const { source, tally, inferred } = this.provenance;
    if (!source || !tally || !inferred) throw new TraceError(this.file, 'lacks its source, tally or inferred line');
    return { source, tally, inferred };
  }

  private head(text: string, word: string, rest: string): void {
    const parts = /^("(?:[^"\\]|\\.)*") (\w+)(?: (\d+))?$/.exec(rest);
    const checks = new MetaChecks(`${this.file}:${this.line}`);
    if (word === 'source') Object.assign(this.provenance, { source: checks.source(this.json(text, rest)) });
    else if (word === 'tally') Object.assign(this.provenance, { tally: checks.tally(this.json(text, rest)) });
    else if (word === 'inferred') Object.assign(this.provenance, { inferred: checks.inferred(this.json(text, rest)) });
    else if (word === 'interleaved' && /^(true|false)$/.test(rest)) this.out.interleaved = rest === 'true';
    else if (word === 'schedule') this.out.schedule = checks.schedule(this.json(text, rest));
    else if (word === 'by') {
      const [agent] = this.numbers(text, rest);
      this.by = this.below(text, agent!, this.agents, 'agent');
    } else if (word === 'space' && parts && (parts[2] === 'mm' || parts[2] === 'domain')) {
      this.spaces = this.out.space(this.json(text, parts[1]!) as string, parts[2]) + 1;
    } else if (word === 'agent' && parts?.[3] && (parts[2] === 'cpu' || parts[2] === 'device')) {
      const space = this.below(text, Number(parts[3]), this.spaces, 'space');
      this.agents = this.out.agent(this.json(text, parts[1]!) as string, parts[2], space) + 1;
    } else this.fail(text, 'a line of a trace text');
  }

  private run(text: string): void {
    const match = RUN_LINE.exec(text) as unknown as [string, Run['op'], string, string, string, string] | null;
    if (!match) this.fail(text, 'OP VPN FETCHES DATAS, counts of 1..65535');
    const [, op, second, vpn] = match;
    const fetches = Number(match[4]);
    const datas = Number(match[5]);
    const own = op === 'fetch' ? fetches : datas;
    if (own < 1 || fetches > MAX_RUN || datas > MAX_RUN) this.fail(text, 'OP VPN FETCHES DATAS, counts of 1..65535');
    this.below(text, this.by, this.agents, 'agent');
    this.out.run(this.by, Number.parseInt(vpn, 16), { op, straddle: second === '+', fetches, datas });
  }

  private event(text: string, op: EventName, numbers: readonly number[]): void {
    const [agent, gap, ...fields] = numbers;
    if (op === 'switch' || fields.length !== EVENTS[op].length)
      this.fail(text, `${op} AGENT GAP ${EVENTS[op].join(' ')}`);
    this.below(text, agent!, this.agents, 'agent');
    const space = (EVENTS[op] as readonly string[]).indexOf('space');
    if (space >= 0) this.below(text, fields[space]!, this.spaces, 'space');
    this.out.event(agent!, op as Exclude<EventName, 'switch'>, fields, gap!);
  }

  private outcome(text: string, words: readonly string[]): void {
    const [kind, line, ...values] = words;
    if (!(OUTCOMES as readonly string[]).includes(kind!) || values.length > 16)
      this.fail(text, '= OUTCOME LINE VALUE...');
    const [number, ...rest] = this.numbers(text, [line, ...values].join(' '));
    this.below(text, number!, MAX_FIELD + 1, 'line');
    this.out.outcome(kind as OutcomeKind, number!, rest);
  }

  private numbers(text: string, words: string): number[] {
    const numbers =
      words === '' ? [] : words.split(' ').map((word) => (/^\d{1,16}$/.test(word) ? Number(word) : Number.NaN));
    if (!numbers.every(Number.isSafeInteger)) this.fail(text, 'whole numbers behind the first word');
    return numbers;
  }

  private json(text: string, value: string): unknown {
    try {
      return JSON.parse(value);
    } catch {
      return this.fail(text, 'JSON behind the first word');
    }
  }

  private below(text: string, value: number, bound: number, what: string): number {
    return value < bound ? value : this.fail(text, `${what} of 0..${bound - 1}`);
  }

  private fail(text: string, expected: string): never {
    throw new TraceError(`${this.file}:${this.line}`, `read ${shown(text)}, expected ${expected}`);
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
