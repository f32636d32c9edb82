import { MAX_VPN } from '../../model/limits.ts';
import { ADVICE, type EventName } from '../../model/trace.ts';
import type { TraceWriter } from '../writer.ts';
import { KINDS } from './accesses.ts';
import { NO_PAGE, placeOf } from './address.ts';
import { addressOf, fieldsOf, type TracedEvent } from './ftrace-lines.ts';
import { ACCEPTED, type Fate, ignored, rejected } from './importer.ts';
import { SystemCalls } from './lackey-syscalls.ts';

/** Threads that are told apart. */
const MAX_THREADS = 64;
/** Bits of an x86 page-fault error code. */
const [FAULT_WRITE, FAULT_FETCH] = [2, 16];
/** Arguments of the calls on address spaces, in their order, as the kernel names them (mm/mmap.c, mm/madvise.c). */
const ARGUMENTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['mmap', ['addr', 'len', 'prot', 'flags', 'fd', 'off']],
  ['munmap', ['addr', 'len']],
  ['mremap', ['addr', 'old_len', 'new_len', 'flags']],
  ['mprotect', ['start', 'len', 'prot']],
  ['madvise', ['start', 'len_in', 'behavior']],
  ['brk', ['brk']],
]);

/**
 * What became of a range, by `enum mmu_notifier_event` (include/linux/mmu_notifier.h, 5.2 to 7.0): an event, and what it has
 * besides the range. MMU_NOTIFY_RELEASE (5) comes by another callback.
 */
const CHANGES: ReadonlyMap<string, readonly [op: Exclude<EventName, 'switch'>, ...rest: number[]]> = new Map([
  ['0', ['munmap']], // UNMAP
  ['1', ['madvise', ADVICE.dontneed]], // CLEAR
  ['2', ['numaHint']], // PROTECTION_VMA
  ['3', ['clearRefs']], // PROTECTION_PAGE
  ['4', ['clearRefs']], // SOFT_DIRTY
  ['6', ['migrateVma']], // MIGRATE
  ['7', ['madvise', ADVICE.dontneed]], // EXCLUSIVE
]);
const UNMAP = '0';

const CROWDED = ignored(`event of a thread beyond the first ${MAX_THREADS}`);
const ORPHAN = ignored('result whose system call is not in the recording');
const BEGUN = ignored('system call whose result is on a later line');
const SYMBOL = ignored('page fault at a symbol of the kernel');
const OWN_CALL = ignored('range of a system call that is in the recording');
const OTHER_RANGE = ignored('range of mmu_notifiers without what became of it');
const STRANGER = ignored('range of an address space of which nothing is known yet');
const NO_RANGE = rejected('a range of mmu_notifiers with start and end');
const NO_FAULT = rejected('a page fault with address and error code');
const NO_CALL = rejected('a system call on an address space with its arguments');

interface Thread {
  readonly agent: number;
  readonly space: number;
  readonly calls: SystemCalls;
  /** A call that has begun, as valgrind would print it. */
  begun: { readonly name: string; readonly text: string } | undefined;
}

/** Page faults, system calls and mmu_notifiers of processes: one agent a thread, one space a process. */
export class MmEvents {
  faults = 0;
  calls = 0;
  ranges = 0;
  /** By thread id; of a thread of the kernel, which changes spaces of others, by id and space. */
  private readonly threads = new Map<string, Thread>();
  private readonly spaces = new Map<string, number>();
  /** Spaces by the address of their mm_struct. */
  private readonly owners = new Map<string, number>();

  constructor(private readonly out: TraceWriter) {}

  get count(): number {
    return this.threads.size;
  }

  /** `exceptions:page_fault_user`: what a thread touched without a translation that allowed it. */
  fault(event: TracedEvent): Fate {
    const fields = fieldsOf(event.payload);
    const code = /^0x([0-9a-f]{1,8})$/.exec(fields.get('error_code') ?? '')?.[1];
    const address = fields.get('address');
    if (code === undefined || address === undefined) return NO_FAULT;
    // Some printers leave the letter of the kernel's format behind the digits.
    const digits = /^0x([0-9a-f]{1,16})[a-z]?$/.exec(address)?.[1];
    if (digits === undefined) return SYMBOL;
    const bits = Number.parseInt(code, 16);
    const data = (bits & FAULT_WRITE) === 0 ? KINDS.read : KINDS.write;
    return this.touch(event, (bits & FAULT_FETCH) === 0 ? data : KINDS.fetch, digits);
  }

  /** perf's own page-fault events: an address, and not what for. */
  sample(event: TracedEvent): Fate {
    const digits = /^([0-9a-f]{1,16})\b/.exec(event.payload)?.[1];
    return digits === undefined ? NO_FAULT : this.touch(event, KINDS.read, digits);
  }

  /** A call begins: `sys_munmap(addr: 7f.., len: 2000)` or `addr: 0x7f.., len: 0x2000`. Undefined if it is not followed. */
  enter(event: TracedEvent, name: string): Fate | undefined {
    const names = ARGUMENTS.get(name);
    if (!names) return undefined;
    const thread = this.thread(event);
    if (!thread) return CROWDED;
    const fields = fieldsOf(event.payload);
    const values = names.map((key) => fields.get(key) ?? fields.get(key === 'len_in' ? 'len' : key));
    if (!values.every((value) => value !== undefined && /^(0x)?[0-9a-f]{1,16}$/.test(value))) return NO_CALL;
    const args = values.map((value) => `0x${value!.replace(/^0x/, '')}`).join(', ');
    const ids = `${event.process},${event.thread}`;
    thread.begun = { name, text: `SYSCALL[${ids}](0) sys_${name} ( ${args} ) --> ` };
    return BEGUN;
  }

  /** A call ends: `sys_munmap -> 0x0` or `0x0`. */
  exit(event: TracedEvent, name: string): Fate | undefined {
    if (!ARGUMENTS.has(name)) return undefined;
    const thread = this.thread(event);
    if (!thread) return CROWDED;
    const { begun } = thread;
    thread.begun = undefined;
    const value = /^(?:-> )?(0x[0-9a-f]{1,16}|-?\d{1,5})$/.exec(event.payload.trim())?.[1];
    if (value === undefined) return NO_CALL;
    if (begun?.name !== name) return ORPHAN;
    const failed = value.startsWith('-') || /^0xfffffffffffff[0-9a-f]{3}$/.test(value);
    const result = value.startsWith('0x') ? value : `0x${Number(value).toString(16)}`;
    this.calls++;
    return thread.calls.read(`${begun.text}${failed ? 'Failure(0x1)' : `Success(${result})`}`);
  }

  private touch(event: TracedEvent, kind: number, digits: string): Fate {
    const thread = this.thread(event);
    if (!thread) return CROWDED;
    const { page } = placeOf(digits);
    if (page === NO_PAGE) return NO_FAULT;
    this.faults++;
    this.out.access(thread.agent, kind, page, false);
    return ACCEPTED;
  }

  /** `__mmu_notifier_invalidate_range_start`, by kprobe or bpftrace: pages that are about to change, and how. */
  range(event: TracedEvent): Fate {
    const fields = fieldsOf(event.payload);
    const [start, end] = [addressOf(fields.get('start')), addressOf(fields.get('end'))];
    if (!start || !end || end.page < start.page || start.page > MAX_VPN) return NO_RANGE;
    const what = fields.get('event');
    const change = CHANGES.get(what ?? '');
    if (!change) return OTHER_RANGE;
    const mm = fields.get('mm');
    // Programs unmap pages of their own: that is how the space of an mm_struct becomes known.
    const own = this.threads.get(event.thread) ?? (what === UNMAP || mm === undefined ? this.thread(event) : undefined);
    if (own && mm !== undefined && !this.owners.has(mm)) this.owners.set(mm, own.space);
    const space = mm === undefined ? own?.space : this.owners.get(mm);
    if (space === undefined) return STRANGER;
    const thread = own?.space === space ? own : this.threadIn(event.thread, `${event.thread} in ${space}`, space);
    if (!thread) return CROWDED;
    if (thread.begun) return OWN_CALL;
    const last = Math.min(end.page + (end.offset > 0 ? 1 : 0), MAX_VPN + 1);
    const [op, ...rest] = change;
    this.ranges++;
    this.out.event(thread.agent, op, [space, start.page, last, ...rest], 0);
    return ACCEPTED;
  }

  private thread({ thread: id, process }: TracedEvent): Thread | undefined {
    const known = this.threads.get(id);
    if (known || this.threads.size >= MAX_THREADS) return known;
    let space = this.spaces.get(process);
    if (space === undefined) {
      space = this.out.space(`mm ${process}`, 'mm');
      this.spaces.set(process, space);
    }
    return this.threadIn(id, id, space);
  }

  private threadIn(id: string, key: string, space: number): Thread | undefined {
    const known = this.threads.get(key);
    if (known || this.threads.size >= MAX_THREADS) return known;
    const agent = this.out.agent(`thread ${id}`, 'cpu', space);
    const made = { agent, space, calls: new SystemCalls(this.out, agent, space), begun: undefined };
    this.threads.set(key, made);
    return made;
  }
}
