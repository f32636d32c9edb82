import { splitHex, splitNumber } from './address.ts';

/** One event of a kernel's trace buffer, as ftrace, `trace-cmd report` or `perf script` print it. */
export interface TracedEvent {
  /** Thread id; it stands for the process where `process` is the same. */
  readonly thread: string;
  readonly process: string;
  /** Undefined where perf was not told to print it. */
  readonly cpu: number | undefined;
  /** Picoseconds since the first event. */
  readonly time: number;
  readonly name: string;
  readonly payload: string;
}

/** Longest line that is looked at; a command has 16 characters, and the longest events list scatter lists. */
const LONGEST = 4096;
/** command-tid (tgid) [cpu] flags time: event. A command may hold spaces and dashes. */
const FTRACE =
  /^\s*(\S.{0,40})-(\d{1,10})\s+(?:\(\s*(-+|\d+)\)\s+)?\[(\d{1,4})\]\s+(?:\S{4,8}\s+)?(\d{1,16})(?:\.(\d{6,9}))?:\s+(\S.*)$/;
/** command pid/tid [cpu] time: period event. */
const PERF =
  /^\s*(\S.{0,40}?)\s+(\d{1,10})(?:\/(\d{1,10}))?\s+(?:\[(\d{1,4})\]\s+)?(\d{1,10})\.(\d{6,9}):\s+(?:\d+\s+(?=\S))?([a-z]\S.*)$/;
/** Perhaps the system, then the event. System calls are followed by a bracket or an arrow. */
const EVENT = /^(?:[\w-]{1,40}:(?=\S))?([\w.-]{1,60})(?::\s*|(?=\()|\s+(?=->))(.*)$/;

const HEADING = /^(#|cpus=\d+$|version = |CPU \d+ is empty$)/;
/** ftrace and trace-cmd say so where a buffer ran over. */
const LOST = /^CPU:\s*\d+ \[(?:LOST \d+ EVENTS|\d* ?EVENTS DROPPED)\]/;
/** perf prints call chains below their event. */
const CHAIN = /^\s+[0-9a-f]{1,16} \S/;

/** What a line is that holds no event. */
export type OtherLine = 'heading' | 'empty' | 'lost' | 'chain' | 'unknown';

/** Reads lines one after another; keeps the time of the first. */
export class FtraceLines {
  /** Time stamps have no point: they count ticks of a clock whose rate the file does not tell. */
  ticks = false;
  private epoch: number | undefined;

  read(text: string): TracedEvent | OtherLine {
    if (text.trim() === '') return 'empty';
    if (HEADING.test(text)) return 'heading';
    if (LOST.test(text)) return 'lost';
    if (text.length > LONGEST) return 'unknown';
    const ftrace = FTRACE.exec(text);
    const perf = ftrace ? null : PERF.exec(text);
    if (!ftrace && !perf) return CHAIN.test(text) ? 'chain' : 'unknown';
    const [, , first, second, cpu, seconds, fraction, rest] = (ftrace ?? perf) as unknown as [
      string, string, string, string | undefined, string | undefined, string, string | undefined, string,
    ]; // biome-ignore format: a row
    const event = EVENT.exec(unwrap(rest));
    if (!event) return 'unknown';
    const [, name, payload] = event as unknown as [string, string, string];
    const group = second !== undefined && /^\d+$/.test(second) ? second : first;
    // ftrace: tid, then perhaps its process. perf: perhaps the process, then the tid.
    const [thread, process] = ftrace ? [first, group] : [second ?? first, first];
    return {
      thread,
      process,
      cpu: cpu === undefined ? undefined : Number(cpu),
      time: this.time(seconds, fraction),
      name,
      payload,
    };
  }

  private time(seconds: string, fraction: string | undefined): number {
    if (fraction === undefined) {
      this.ticks = true;
      this.epoch ??= Number(seconds);
      return (Number(seconds) - this.epoch) * 1000;
    }
    this.epoch ??= Number(seconds);
    return (Number(seconds) - this.epoch) * 1e12 + Number(fraction.padEnd(9, '0')) * 1000;
  }
}

/** Whether a line looks like an event: what `sniff` asks. */
export function isFtraceLine(text: string): boolean {
  return /^# tracer: /.test(text) || (text.length <= LONGEST && typeof new FtraceLines().read(text) === 'object');
}

/** The function_graph tracer prints events as comments. */
function unwrap(rest: string): string {
  return rest.replace(/^\/\* (.*) \*\/$/, '$1');
}

/** The `key=value` and `key: value` pairs of a payload, whatever their order; kernels add and move them. */
export function fieldsOf(payload: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [, key, value] of payload.matchAll(/(\w{1,40})(?:=|: (?!\w{1,40}=))("[^"]*"|\{[^}]*\}|[^\s,()]*)/g)) {
    fields.set(key!, value!.replace(/^"(.*)"$/, '$1'));
  }
  return fields;
}

/** An address as events print it: hexadecimal behind 0x, else decimal. Undefined if it is neither. */
export function addressOf(text: string | undefined): { page: number; offset: number } | undefined {
  if (text === undefined || !/^(0x[0-9a-f]{1,16}|\d{1,19})$/.test(text)) return undefined;
  return splitNumber(text);
}

/** An address as the `dma` events print it: hexadecimal, bare. */
export function bareAddressOf(text: string | undefined): { page: number; offset: number } | undefined {
  const digits = /^(?:0x)?([0-9a-f]{1,16})$/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : splitHex(digits);
}

/** A size in bytes, decimal or hexadecimal, up to 2^53; undefined if it is neither. */
export function sizeOf(text: string | undefined): number | undefined {
  const size = text !== undefined && /^(0x[0-9a-f]{1,13}|\d{1,15})$/.test(text) ? Number(text) : 0;
  return size > 0 ? size : undefined;
}
