import { MAX_VPN } from '../../model/limits.ts';
import { ADVICE, MAP_FLAG, PROT } from '../../model/trace.ts';
import type { TraceWriter } from '../writer.ts';
import { splitNumber } from './address.ts';
import { ACCEPTED, type Fate, ignored, rejected } from './importer.ts';

const WITHOUT_EFFECT = ignored('system call without effect on the address space');
const NOT_FOLLOWED = ignored('system call whose effect on the address space is not followed');
const FAILED = ignored('system call that failed');
const UNFINISHED = ignored('system call whose result is on a later line');
const ORPHAN = ignored('result whose system call is not in the recording');

/** `SYSCALL[pid,tid](number) rest` */
const LINE = /^SYSCALL\[(\d+),(\d+)\]\(([^)]*)\) (.*)$/s;
/** Calls that are followed: arguments, then a result or the reason why there is none. */
const CHANGE =
  /^(?:sys_)?(mmap2?|munmap|mremap|mprotect|pkey_mprotect|madvise|brk)\b(?: ?\( ([^()]+) \)(?:\[sync\])?(.*))?/s;
/** Calls that change the address space in ways that no event describes, or that the line does not tell. */
const OTHER_CHANGE = /^(?:sys_)?(?:shmat|shmdt|remap_file_pages|process_madvise|execve|execveat)\b/;
const FORK = /\b(?:clone\(fork\)|v?fork): process \d+ created child \d+/;
/** The line of a call that may block ends so; the line with its result begins so. */
const TO_COME = / --> \[async\] \.\.\. ?$/;
const LATE = /^\.\.\. \[async\](?= )/;
const RESULT = / --> (?:\[pre-(?:success|fail)\] )?(?:(Success|Failure)\((0x[0-9a-f]+)\)|NoWriteResult) ?$/;
/** What may follow the arguments when a message broke the line: the message. The result is a line of its own, bare. */
const BROKEN = /^ *(?:$|==|--\d|\*\*)/;
const BARE = /^(?:\[sync\])? --> /;
const SYNC = /^\[sync\]/;

/** Linux uapi/asm-generic/mman-common.h and mman.h. */
const MAP_TYPE = 0xf;
const MAP_SHARED = 0x1;
const MAP_SHARED_VALIDATE = 0x3;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_FIXED_NOREPLACE = 0x10_0000;
const PROT_MASK = PROT.read | PROT.write | PROT.exec;
/** MADV_REMOVE, MADV_PAGEOUT, MADV_DONTNEED_LOCKED, MADV_COLLAPSE: they change page tables too. */
const OTHER_ADVICE: readonly number[] = [9, 21, 24, 25];

/** Arguments of the followed calls, at least. */
const ARGUMENTS: Readonly<Record<string, number>> = {
  mmap: 6,
  mmap2: 6,
  munmap: 2,
  mremap: 4,
  mprotect: 3,
  pkey_mprotect: 4,
  madvise: 3,
  brk: 1,
};
const ARGUMENT = /^-?\d+$|^0x[0-9a-f]+$/;

/** Threads that are told apart; valgrind's own limit is 500 at a time (`--max-threads`). */
const MAX_THREADS = 1 << 16;

/** A call whose result has not been read. */
interface Call {
  /** `pid,tid` */
  readonly thread: string;
  /** As printed, to check that a late result belongs to it. */
  readonly number: string;
  /** '' if it is not followed. */
  readonly name: string;
  readonly args: readonly string[];
  /** What a call that is not followed comes to when it succeeds. */
  readonly success: Fate;
}

type Change = 'mmap' | 'munmap' | 'brk' | 'mremap' | 'mprotect' | 'madvise';

/** Page numbers, half-open. */
interface Pages {
  readonly first: number;
  readonly end: number;
}

/** Whether `SystemCalls.read` is to have the line: a call, or the bare result of a broken one. */
export function isCallLine(text: string): boolean {
  return text.startsWith('SYSCALL[') || BARE.test(text);
}

/** Pairs the lines of system calls and writes the events of those that changed the address space. */
export class SystemCalls {
  /** Lines that named a process and a thread. */
  lines = 0;
  forks = 0;
  /** Followed calls without a result so far. */
  unanswered = 0;
  private readonly seenThreads = new Set<string>();
  private readonly seenProcesses = new Set<string>();
  /** By `pid,tid`: calls announced as `[async] ...`. */
  private readonly late = new Map<string, Call>();
  /** The call of the last line that broke off before its result. */
  private broken: Call | undefined;
  /** End of the heap, rounded up to pages; unknown before the first brk. */
  private breakEnd: number | undefined;

  constructor(
    private readonly out: Pick<TraceWriter, 'event'>,
    private readonly agent: number,
    private readonly space: number,
  ) {}

  get threads(): number {
    return this.seenThreads.size;
  }

  get processes(): number {
    return this.seenProcesses.size;
  }

  /** The fate of a line of which `isCallLine` is true. */
  read(text: string): Fate {
    if (!text.startsWith('SYSCALL[')) {
      const { broken } = this;
      this.broken = undefined;
      return broken ? this.answer(broken, text.replace(SYNC, '')) : ORPHAN;
    }
    const match = LINE.exec(text);
    if (!match) return rejected('a system call');
    const [, pid, tid, number, rest] = match as unknown as [string, string, string, string, string];
    const thread = `${pid},${tid}`;
    if (this.seenThreads.size === MAX_THREADS && !this.seenThreads.has(thread)) {
      return rejected(`a system call of the first ${MAX_THREADS} threads`);
    }
    this.lines++;
    this.seenProcesses.add(pid);
    this.seenThreads.add(thread);
    return LATE.test(rest) ? this.readLate(thread, number, rest) : this.readCall(thread, number, rest);
  }

  private readLate(thread: string, number: string, rest: string): Fate {
    const call = this.late.get(thread);
    if (!call) return ORPHAN;
    if (call.number !== number) return rejected(`the result of system call ${call.number}`);
    this.late.delete(thread);
    return this.answer(call, rest.replace(LATE, ''));
  }

  private readCall(thread: string, number: string, rest: string): Fate {
    if (FORK.test(rest)) this.forks++;
    const change = CHANGE.exec(rest);
    const name = change?.[1] ?? '';
    const args = change?.[2]?.split(', ') ?? [];
    const tail = change?.[3] ?? rest;
    if (change && !(args.length >= ARGUMENTS[name]! && args.every((arg) => ARGUMENT.test(arg)))) {
      return rejected(`a call of ${name} with ${ARGUMENTS[name]} numbers`);
    }
    const call: Call = { thread, number, name, args, success: OTHER_CHANGE.test(rest) ? NOT_FOLLOWED : WITHOUT_EFFECT };
    if (change) this.unanswered++;
    const ends = TO_COME.test(tail) || RESULT.test(tail) || (change && !BROKEN.test(tail));
    if (ends) return this.answer(call, tail);
    this.broken = call;
    return change ? UNFINISHED : WITHOUT_EFFECT;
  }

  /** Takes the end of a line of `call`: ` --> result`, or the promise of one. */
  private answer(call: Call, tail: string): Fate {
    const followed = call.name !== '';
    if (TO_COME.test(tail)) {
      this.late.set(call.thread, call);
      return followed ? UNFINISHED : WITHOUT_EFFECT;
    }
    if (followed) this.unanswered--;
    const result = RESULT.exec(tail);
    // Strings among the arguments of other calls may hold anything, so only the end of their line counts.
    if (!result || (followed && result.index !== 0)) return rejected('the result of a system call');
    const [, outcome, value] = result;
    if (outcome === 'Success') return followed ? this.apply(call, value!) : call.success;
    return followed ? FAILED : WITHOUT_EFFECT;
  }

  private apply({ name, args, success }: Call, value: string): Fate {
    if (name === 'brk') return this.moveBreak(value);
    const pages = range(name.startsWith('mmap') ? value : args[0]!, args[1]!);
    if (!pages) return rejected('a range of pages below 2^57');
    if (name === 'mremap') return this.remap(pages, value, args[2]!);
    if (pages.first === pages.end) return success;
    const [third, fourth, fd] = args.slice(2).map(Number) as [number, number, number];
    switch (name) {
      case 'munmap':
        return this.change('munmap', pages);
      case 'mprotect':
      case 'pkey_mprotect':
        return this.change('mprotect', pages, third & PROT_MASK);
      case 'madvise':
        if (OTHER_ADVICE.includes(third)) return NOT_FOLLOWED;
        return third === ADVICE.dontneed || third === ADVICE.free ? this.change('madvise', pages, third) : success;
      default:
        return this.change('mmap', pages, third & PROT_MASK, mapFlags(fourth, fd));
    }
  }

  private remap(from: Pages, address: string, length: string): Fate {
    const to = range(address, length);
    if (!to) return rejected('a range of pages below 2^57');
    // An old length of 0 makes a second mapping of shared pages (mremap(2)).
    if (from.first === from.end) return NOT_FOLLOWED;
    if (to.first !== from.first || to.end > from.end) return this.change('mremap', from, to.first, to.end);
    return to.end < from.end ? this.change('munmap', { first: to.end, end: from.end }) : WITHOUT_EFFECT;
  }

  /** A refused brk returns the old break, so it moves nothing. */
  private moveBreak(address: string): Fate {
    const heap = range('0', address);
    if (!heap) return rejected('a program break below 2^57');
    const old = this.breakEnd ?? heap.end;
    this.breakEnd = heap.end;
    return heap.end === old ? WITHOUT_EFFECT : this.change('brk', { first: old, end: heap.end });
  }

  private change(op: Change, { first, end }: Pages, ...rest: number[]): Fate {
    this.out.event(this.agent, op, [this.space, first, end, ...rest], 0);
    return ACCEPTED;
  }
}

/** The pages that `length` bytes from `address` on touch; nothing if they are not below 2^57. */
function range(address: string, length: string): Pages | undefined {
  const start = splitNumber(address);
  const bytes = splitNumber(length);
  const none = bytes.page === 0 && bytes.offset === 0;
  const end = none ? start.page : start.page + bytes.page + Math.ceil((start.offset + bytes.offset) / 4096);
  return start.page >= 0 && bytes.page >= 0 && end <= MAX_VPN + 1 ? { first: start.page, end } : undefined;
}

/** `MAP_FLAG` bits of the flags of mmap(2). `fd`: -1 is printed as an unsigned number of 32 or 64 bits. */
function mapFlags(flags: number, fd: number): number {
  const type = flags & MAP_TYPE;
  // MAP_FIXED_NOREPLACE never replaces, with MAP_FIXED or without (mm/mmap.c, do_mmap).
  const fixed = (flags & MAP_FIXED) !== 0 && (flags & MAP_FIXED_NOREPLACE) === 0;
  const file = (flags & MAP_ANONYMOUS) === 0 && fd >= 0 && fd < 0xffff_ffff;
  const shared = type === MAP_SHARED || type === MAP_SHARED_VALIDATE;
  return (fixed ? MAP_FLAG.fixed : 0) | (file ? MAP_FLAG.file : 0) | (shared ? MAP_FLAG.shared : 0);
}
