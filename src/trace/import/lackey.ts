import { TraceError } from '../../model/errors.ts';
import { MAX_LINE } from '../../model/limits.ts';
import type { TraceWriter } from '../writer.ts';
import { MAX_SIZE } from './address.ts';
import { ACCEPTED, type Fate, type Importer, ignored, linesOfHead, rejected, Tally } from './importer.ts';
import { AccessLines } from './lackey-lines.ts';
import { isCallLine, SystemCalls } from './lackey-syscalls.ts';

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
    try {
      for await (const block of input.blocks()) scanner.push(block);
      scanner.end();
    } finally {
      scanner.close();
    }
    return { tally: tally.finish(), inferred: scanner.inferred() };
  },
};

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Reads blocks of bytes as lines. Access lines never become strings: a recording is nearly all access lines. */
class Scanner {
  private readonly calls: SystemCalls;
  private readonly lines: AccessLines;
  private readonly decoder = new TextDecoder();
  /** u8[MAX_LINE], the line that the last block border cut. */
  private readonly cut = new Uint8Array(MAX_LINE);
  private cutLength = 0;
  private unended = false;

  constructor(
    private readonly file: string,
    out: TraceWriter,
    private readonly tally: Tally,
  ) {
    const space = out.space('mm', 'mm');
    const agent = out.agent('cpu0', 'cpu', space);
    this.lines = new AccessLines(out, agent);
    this.calls = new SystemCalls(this.lines, agent, space);
  }

  push(block: Uint8Array): void {
    const { most } = this.lines;
    for (let at = 0; at < block.length; at += most) this.take(block.subarray(at, at + most));
  }

  /** The last line need not end in a newline. */
  end(): void {
    this.unended = this.cutLength > 0;
    if (this.unended) this.push(Uint8Array.of(NEWLINE));
    this.lines.settle();
  }

  close(): void {
    this.lines.close();
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

  private take(block: Uint8Array): void {
    let start = 0;
    if (this.cutLength > 0) {
      start = block.indexOf(NEWLINE) + 1;
      this.keep(start === 0 ? block : block.subarray(0, start));
      if (start === 0) return;
      this.scan(this.cut.subarray(0, this.cutLength));
      this.cutLength = 0;
    }
    const end = Math.max(start, block.lastIndexOf(NEWLINE) + 1);
    this.scan(block.subarray(start, end));
    this.keep(block.subarray(end));
  }

  /** Keeps `part` of a line, perhaps its end, until the line is complete. */
  private keep(part: Uint8Array): void {
    if (this.cutLength + part.length > MAX_LINE) this.failLong(this.tally.lines + 1);
    this.cut.set(part, this.cutLength);
    this.cutLength += part.length;
  }

  /** Reads whole lines. */
  private scan(bytes: Uint8Array): void {
    const { lines, tally } = this;
    lines.load(bytes);
    for (let at = 0; at < bytes.length; ) {
      at = lines.scan(at, bytes.length);
      const taken = lines.taken();
      tally.lines += taken;
      tally.accepted += taken;
      if (at === bytes.length) return;
      const next = bytes.indexOf(NEWLINE, at) + 1;
      this.oddLine(bytes, at, next);
      at = next;
    }
  }

  /** Gives a line that is no access line its fate. `next` is where the next line starts. */
  private oddLine(bytes: Uint8Array, at: number, next: number): void {
    if (next - at > MAX_LINE) this.failLong(this.tally.lines + 1);
    const end = bytes[next - 2] === RETURN && next - 2 >= at ? next - 2 : next - 1;
    const text = this.decoder.decode(bytes.subarray(at, end));
    this.tally.take(text, this.fateOf(text, end));
  }

  /** The fate of a line, or of the part of one that is glued to a result. Its text ends at `end`. */
  private fateOf(text: string, end: number): Fate {
    if (isCallLine(text)) {
      const glue = GLUE.exec(text);
      if (!glue) return this.calls.read(text);
      const split = glue.index + glue[0].length;
      const fate = this.calls.read(text.slice(0, split));
      if (fate.fate === 'rejected') return fate;
      const rest = this.fateOf(text.slice(split), end);
      return rest.fate === 'ignored' ? fate : rest;
    }
    if (ACCESS.test(text)) {
      // ASCII, so as many bytes as characters.
      return this.lines.line(end - text.length) ? ACCEPTED : rejected(`an access of 1 to ${MAX_SIZE} bytes below 2^57`);
    }
    if (text.trim() === '') return ignored('empty line');
    if (MESSAGE.test(text)) return ignored('valgrind message');
    return SUPERBLOCK.test(text) ? ignored('superblock') : rejected('a lackey record');
  }

  private failLong(line: number): never {
    throw new TraceError(`${this.file}:${line}`, `is longer than ${MAX_LINE} bytes`);
  }
}
