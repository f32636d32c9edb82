import { UsageError } from '../../model/errors.ts';
import { MAP_FLAG, type TraceEvent } from '../../model/trace.ts';
import type { Trace } from '../reader.ts';
import { FETCH, WRITE } from '../writer.ts';
import { accessesOf, itemsOf, NONE } from './accesses.ts';
import { type Exporter, PIECE } from './exporter.ts';

/** Bits of mmap's flags (Linux uapi/asm-generic/mman-common.h) and the descriptor of a file. */
const SHARED = 0x1;
const PRIVATE = 0x2;
const FIXED = 0x10;
const ANONYMOUS = 0x20;
const FILE = 3;
const NO_FILE = 0xffff_ffff;

const NAMES = ['I  ', ' L ', ' S '] as const;

/** The text of valgrind's lackey, with system calls: accesses of one byte, but those that cross a page. */
export const lackey: Exporter = {
  name: 'lackey',
  summary: "valgrind lackey's text, with system calls: one CPU of one address space",

  *write(trace, left) {
    check(trace);
    const calls = new Calls();
    let out = '==1== Lackey, an example Valgrind tool\n';
    let held = { kind: NONE, vpn: 0, more: 0 };
    const flush = (): void => {
      if (held.kind !== NONE) out += line(held.kind, held.vpn, held.more);
      held = { kind: NONE, vpn: 0, more: 0 };
    };
    for (const item of itemsOf(trace)) {
      if ('event' in item) {
        flush();
        const text = calls.textOf(item.event);
        if (text === undefined) left.add(item.event.op);
        else out += text;
      } else {
        for (const { kind, vpn, times, second } of accessesOf(item.run, item.next)) {
          if (second && held.kind === kind && held.vpn + held.more + 1 === vpn) {
            held.more++;
            continue;
          }
          if (second) left.add('mark of a second half, which is an access of its own');
          flush();
          if (times > 1) out += line(kind, vpn, 0).repeat(times - 1);
          held = { kind, vpn, more: 0 };
        }
      }
      if (out.length < PIECE) continue;
      yield out;
      out = '';
    }
    flush();
    yield out;
  },
};

function check({ meta }: Trace): void {
  const { agents, counts } = meta;
  if (counts.maps + counts.dma > 0) throw new UsageError('lackey has no place for DMA: --as text has');
  if (agents.length !== 1) throw new UsageError(`the trace has ${agents.length} agents, and lackey one`);
}

/** An access to page `vpn` and the `more` pages behind it. */
function line(kind: number, vpn: number, more: number): string {
  const offset = more === 0 ? '000' : 'fff';
  const address = `${vpn.toString(16)}${offset}`.padStart(8, '0');
  return `${NAMES[kind === FETCH ? 0 : kind === WRITE ? 2 : 1]}${address},${more === 0 ? 1 : 2 + (more - 1) * 4096}\n`;
}

/** Address-space changes as system calls. */
class Calls {
  private breakEnd: number | undefined;

  /** Lines of the call; nothing if lackey has none. */
  textOf({ op, fields }: TraceEvent): string | undefined {
    const [, first, end, third, fourth] = fields as [number, number, number, number, number];
    const range = `${address(first)}, ${bytes(end - first)}`;
    if (op === 'brk') return this.brk(first, end);
    if (first >= end) return undefined;
    const done = '[sync] --> Success(0x0) \n';
    if (op === 'munmap') return `SYSCALL[1,1](11) sys_munmap ( ${range} )${done}`;
    if (op === 'mprotect') return `SYSCALL[1,1](10) sys_mprotect ( ${range}, ${third} )${done}`;
    if (op === 'mmap') {
      const arguments_ = `0x0, ${bytes(end - first)}, ${third}, ${flagsOf(fourth)}`;
      return `SYSCALL[1,1](9) sys_mmap ( ${arguments_}, 0 ) --> [pre-success] Success(${address(first)}) \n`;
    }
    if (op === 'mremap') {
      const arguments_ = `${range}, ${bytes(fourth - third)}, 0x1`;
      return `SYSCALL[1,1](25) sys_mremap ( ${arguments_} ) --> [pre-success] Success(${address(third)}) \n`;
    }
    if (op !== 'madvise') return undefined;
    const call = 'SYSCALL[1,1](28)';
    return `${call} sys_madvise ( ${range}, ${third} ) --> [async] ... \n${call} ... [async] --> Success(0x0) \n`;
  }

  /** The first one says where the heap ended. */
  private brk(from: number, to: number): string | undefined {
    const line = (page: number): string =>
      `SYSCALL[1,1](12) sys_brk ( ${address(page)} ) --> [pre-success] Success(${address(page)}) \n`;
    if (this.breakEnd !== undefined && this.breakEnd !== from) return undefined;
    const known = this.breakEnd !== undefined;
    this.breakEnd = to;
    return known ? line(to) : line(from) + line(to);
  }
}

function flagsOf(flags: number): string {
  const shared = (flags & MAP_FLAG.shared) !== 0 ? SHARED : PRIVATE;
  const file = (flags & MAP_FLAG.file) !== 0;
  const bits = shared | ((flags & MAP_FLAG.fixed) !== 0 ? FIXED : 0) | (file ? 0 : ANONYMOUS);
  return `${bits}, ${file ? FILE : NO_FILE}`;
}

function address(page: number): string {
  return page === 0 ? '0x0' : `0x${page.toString(16)}000`;
}

/** Bytes of pages: more than 2^53 of them are printed in hexadecimal. */
function bytes(pages: number): string {
  return pages < 2 ** 41 ? String(pages * 4096) : address(pages);
}
