import { TraceError } from '../../model/errors.ts';
import { MAX_LINE, MAX_VPN } from '../../model/limits.ts';
import { FETCH, READ, type TraceWriter, WRITE } from '../writer.ts';
import { MAX_SIZE } from './address.ts';
import { ACCEPTED, type Fate, type Importer, ignored, linesOfHead, rejected, Tally } from './importer.ts';
import { isCallLine, SystemCalls } from './lackey-syscalls.ts';
import { Runs } from './runs.ts';

const ACCESS = /^(?:I {2}| [LSM] )[0-9a-f]+,[0-9]+$/;
/** Valgrind's own output: `==pid==`, with `-v` also `--pid--`, and `**pid**` from client requests; perhaps a time stamp. */
const MESSAGE = /^(==|--|\*\*)(?:\d\d:\d\d:\d\d:\d\d\.\d{3} )?\d+\1(?: |$)/;
const BANNER = /^==(?:\S+ )?\d+== Lackey, /;
/** Printed with `--trace-superblocks=yes`. */
const SUPERBLOCK = /^SB [0-9a-f]+$/;
/**
 * A result, where the next line is glued to it. Valgrind prints the newline after a result last, and a call that yields
 * (a thread-creating clone, sched_yield) lets other threads print before that. The newline comes out as an empty line.
 */
const GLUE = / --> (?:\[[a-z-]+\] )?(?:Success|Failure)\(0x[0-9a-f]+\) (?=I {2}| [LSM] |SYSCALL\[|==\d)/;

/** Valgrind's `--tool=lackey --trace-mem=yes`, best with `--trace-syscalls=yes`: one line per access, one process. */
export const lackey: Importer = {
  name: 'lackey',
  summary: 'valgrind lackey memory trace, with or without system calls',
  source: 'https://valgrind.org/docs/manual/lk-manual.html',

  sniff: (head) => linesOfHead(head).some((line) => ACCESS.test(line) || BANNER.test(line)),

  async read(input, out, options) {
    const tally = new Tally(input.file, options);
    const scanner = new Scanner(input.file, out, tally);
    for await (const block of input.blocks()) scanner.push(block);
    scanner.end();
    return { tally: tally.finish(), inferred: scanner.inferred() };
  },
};

const NONE = -1;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const COMMA = 0x2c;
const DIGIT_0 = 0x30;
const [LETTER_I, LETTER_L, LETTER_M, LETTER_S] = [0x49, 0x4c, 0x4d, 0x53];
const NO_DIGIT = 0xff;
/** Of four bytes as a little-endian word, all but the second. */
const BUT_LETTER = ~0xff00;
const NO_LEAD = -1;
/** Bytes of the longest line of one size digit with a lead that is kept. */
const LONGEST_AGAIN = 18;

/** u8[256], by character: value of a digit as lackey prints it, lower case; NO_DIGIT for the rest. */
const DIGITS = new Uint8Array(256).fill(NO_DIGIT);
for (let digit = 0; digit < 16; digit++) DIGITS['0123456789abcdef'.charCodeAt(digit)] = digit;

/** Value of the four digits at `at`; NONE if one of them is a newline or anything else, whatever lies behind it. */
function fourDigits(bytes: Uint8Array, at: number): number {
  const a = DIGITS[bytes[at]!]!;
  const b = DIGITS[bytes[at + 1]!]!;
  const c = DIGITS[bytes[at + 2]!]!;
  const d = DIGITS[bytes[at + 3]!]!;
  return (a | b | c | d) < 16 ? (a << 12) | (b << 8) | (c << 4) | d : NONE;
}

/** What an access line holds before the last three digits of its address: kind and page. */
class Lead {
  /** Bytes: 8..12, or those of no line. */
  length = 8;
  /** Its first four bytes but the letter of a data access, the next four, and its last four; -1: no line. */
  first = NO_LEAD;
  second = 0;
  last = 0;

  /** Keeps the lead of the line at `at`. */
  keep(view: DataView, at: number, length: number): void {
    const kept = length >= 8 && length <= 12;
    this.first = kept ? view.getInt32(at, true) & BUT_LETTER : NO_LEAD;
    if (!kept) return;
    this.length = length;
    this.second = view.getInt32(at + 4, true);
    this.last = view.getInt32(at + length - 4, true);
  }
}

/** Reads blocks of bytes as lines. Access lines never become strings: a recording is nearly all access lines. */
class Scanner {
  private readonly calls: SystemCalls;
  private readonly runs: Runs;
  private readonly decoder = new TextDecoder();
  /** u8[MAX_LINE], the line that the last block border cut. */
  private readonly cut = new Uint8Array(MAX_LINE);
  private cutLength = 0;
  private unended = false;
  /** Of the bytes that are scanned. */
  private view: DataView = new DataView(new ArrayBuffer(0));
  private readonly fetchLead = new Lead();
  private readonly dataLead = new Lead();

  constructor(
    private readonly file: string,
    out: TraceWriter,
    private readonly tally: Tally,
  ) {
    const space = out.space('mm', 'mm');
    const agent = out.agent('cpu0', 'cpu', space);
    this.runs = new Runs(out, agent);
    this.calls = new SystemCalls(out, agent, space);
  }

  push(block: Uint8Array): void {
    let start = 0;
    if (this.cutLength > 0) {
      start = block.indexOf(NEWLINE) + 1;
      this.keep(start === 0 ? block : block.subarray(0, start));
      if (start === 0) return;
      this.scan(this.cut, 0, this.cutLength);
      this.cutLength = 0;
    }
    const end = block.lastIndexOf(NEWLINE) + 1;
    this.scan(block, start, end);
    this.keep(block.subarray(Math.max(start, end)));
  }

  /** The last line need not end in a newline. */
  end(): void {
    this.unended = this.cutLength > 0;
    if (this.unended) this.push(Uint8Array.of(NEWLINE));
    this.runs.settle();
  }

  inferred(): string[] {
    const { threads, processes, forks, lines, unanswered } = this.calls;
    const sentences = [
      `Threads are one agent: an access line does not say whose it is (${threads} seen in system calls).`,
      `Processes made by fork and programs started by exec are not followed (${forks} forks seen).`,
      'Accesses by the kernel (buffers of system calls, signal frames, page tables) are not in the recording.',
      'Pages used without a recorded mmap belong to the initial image: program, loader, stack, vdso.',
      'There are no time stamps: no think time.',
    ];
    if (lines === 0) sentences.push('No system call was recorded: the address space never changes.');
    if (processes > 1)
      sentences.push(`System calls of ${processes} processes act on one space: accesses are not told apart either.`);
    if (unanswered > 0)
      sentences.push(`Calls on the address space without a recorded result had no effect (${unanswered} of them).`);
    if (this.unended) sentences.push('The last line does not end in a newline; it was read as it stands.');
    return sentences;
  }

  /** Keeps `part` of a line, perhaps its end, until the line is complete. */
  private keep(part: Uint8Array): void {
    if (this.cutLength + part.length > MAX_LINE) this.failLong(this.tally.lines + 1);
    this.cut.set(part, this.cutLength);
    this.cutLength += part.length;
  }

  /** Reads the lines of `bytes` from `start` to `end`, which is behind a newline. */
  private scan(bytes: Uint8Array, start: number, end: number): void {
    let records = 0;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = start; at < end; ) {
      let next = this.again(at);
      if (next === NONE) next = this.record(bytes, at);
      if (next === NONE) {
        this.countRecords(records);
        records = 0;
        next = bytes.indexOf(NEWLINE, at) + 1;
        this.oddLine(bytes, at, next);
      } else {
        records++;
      }
      at = next;
    }
    this.countRecords(records);
  }

  private countRecords(records: number): void {
    this.tally.lines += records;
    this.tally.accepted += records;
  }

  /**
   * Counts the access line at `at` if it goes on in the page of the last one of its kind, without reading the page again:
   * three lines of four do. Returns where the next line starts, or NONE if it is anything else.
   */
  private again(at: number): number {
    const { view } = this;
    if (at + LONGEST_AGAIN > view.byteLength) return NONE;
    const first = view.getInt32(at, true);
    const letter = (first >> 8) & 0xff;
    const lead = letter === SPACE ? this.fetchLead : this.dataLead;
    const end = at + lead.length;
    if ((first & BUT_LETTER) !== lead.first || view.getInt32(at + 4, true) !== lead.second) return NONE;
    if (view.getInt32(end - 4, true) !== lead.last) return NONE;

    const tail = view.getInt32(end, true);
    const high = DIGITS[tail & 0xff]!;
    const middle = DIGITS[(tail >> 8) & 0xff]!;
    const low = DIGITS[(tail >> 16) & 0xff]!;
    if ((high | middle | low) >= 16 || tail >> 24 !== COMMA) return NONE;
    const size = view.getUint8(end + 4) - DIGIT_0;
    if (size < 1 || size > 9 || view.getUint8(end + 5) !== NEWLINE) return NONE;
    if (((high << 8) | (middle << 4) | low) + size > 4096) return NONE;

    let kind = FETCH;
    if (letter === LETTER_L) kind = READ;
    else if (letter === LETTER_S || letter === LETTER_M) kind = WRITE;
    else if (letter !== SPACE) return NONE;
    return this.runs.again(kind) ? end + 6 : NONE;
  }

  /**
   * Writes the access line at `at`. Returns where the next line starts, or NONE if it is no access line. A newline
   * must follow somewhere: it is what stops every loop here.
   */
  private record(bytes: Uint8Array, at: number): number {
    const head = bytes[at]!;
    if (head !== LETTER_I && head !== SPACE) return NONE;
    const letter = bytes[at + 1]!;
    let kind = FETCH;
    if (head === SPACE) {
      if (letter === LETTER_L) kind = READ;
      else if (letter === LETTER_S || letter === LETTER_M) kind = WRITE;
      else return NONE;
    } else if (letter !== SPACE) return NONE;
    if (bytes[at + 2] !== SPACE) return NONE;

    // The last three digits seen so far are the offset, what they push out is the page number: a double holds all
    // page numbers, but not all 64-bit addresses.
    const address = at + 3;
    let p = address;
    let vpn = 0;
    let offset = 0;
    if (p + 8 < bytes.length) {
      // Valgrind pads to eight digits. Without a branch at each, a line takes about a quarter less time (measured).
      const high = fourDigits(bytes, p);
      const low = fourDigits(bytes, p + 4);
      if ((high | low) >= 0) {
        vpn = (high << 4) | (low >> 12);
        offset = low & 0xfff;
        p += 8;
      }
    }
    let digit = DIGITS[bytes[p]!]!;
    for (; digit !== NO_DIGIT; digit = DIGITS[bytes[++p]!]!) {
      vpn = vpn * 16 + (offset >> 8);
      offset = ((offset & 0xff) << 4) | digit;
    }
    if (p === address || p > address + 16 || bytes[p] !== COMMA) return NONE;

    const lead = p - 3 - at;
    const decimals = ++p;
    let size = 0;
    for (digit = DIGITS[bytes[p]!]!; digit < 10; digit = DIGITS[bytes[++p]!]!) size = size * 10 + digit;
    if (p > decimals + 5 || size === 0 || size > MAX_SIZE) return NONE;
    if (bytes[p] === RETURN) p++;
    if (bytes[p] !== NEWLINE) return NONE;

    const more = (offset + size - 1) >> 12;
    if (vpn + more > MAX_VPN) return NONE;
    this.runs.touch(kind, vpn, more);
    (kind === FETCH ? this.fetchLead : this.dataLead).keep(this.view, at, lead);
    return p + 1;
  }

  /** Gives a line that is no access line its fate. `next` is where the next line starts. */
  private oddLine(bytes: Uint8Array, at: number, next: number): void {
    if (next - at > MAX_LINE) this.failLong(this.tally.lines + 1);
    const end = bytes[next - 2] === RETURN && next - 2 >= at ? next - 2 : next - 1;
    const text = this.decoder.decode(bytes.subarray(at, end));
    this.tally.take(text, this.fateOf(text, bytes, end));
  }

  /** The fate of a line, or of the part of one that is glued to a result. Its text ends at `end`. */
  private fateOf(text: string, bytes: Uint8Array, end: number): Fate {
    if (isCallLine(text)) {
      this.runs.settle();
      const glue = GLUE.exec(text);
      if (!glue) return this.calls.read(text);
      const split = glue.index + glue[0].length;
      const fate = this.calls.read(text.slice(0, split));
      if (fate.fate === 'rejected') return fate;
      const rest = this.fateOf(text.slice(split), bytes, end);
      return rest.fate === 'ignored' ? fate : rest;
    }
    if (ACCESS.test(text)) {
      // ASCII, so as many bytes as characters.
      const written = this.record(bytes, end - text.length) !== NONE;
      return written ? ACCEPTED : rejected(`an access of 1 to ${MAX_SIZE} bytes below 2^57`);
    }
    if (text.trim() === '') return ignored('empty line');
    if (MESSAGE.test(text)) return ignored('valgrind message');
    return SUPERBLOCK.test(text) ? ignored('superblock') : rejected('a lackey record');
  }

  private failLong(line: number): never {
    throw new TraceError(`${this.file}:${line}`, `is longer than ${MAX_LINE} bytes`);
  }
}
