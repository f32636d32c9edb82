import { MAP_FLAG, PROT } from '../../model/trace.ts';
import { FETCH, READ, type TraceWriter, WRITE } from '../writer.ts';
import { Ranges } from './ranges.ts';

/** First page of the program's code: where x86-64 ld puts it. */
const CODE = 0x400;
/** First page above all mappings: TASK_SIZE of 47 bits, less the stack (assumed, no randomisation). */
const TOP = 0x7_ffff_7fff;

/** Protections that workloads use. */
export const DATA = PROT.read | PROT.write;
export const TEXT = PROT.read | PROT.exec;

/** Events of a range that are no system call of the program. */
type KernelEvent =
  | 'fork'
  | 'clearRefs'
  | 'writeback'
  | 'uprobe'
  | 'merge'
  | 'migrate'
  | 'numaHint'
  | 'numaMigrate'
  | 'collapse'
  | 'split';

/** A program: what it executes, what it touches, and its system calls, on the first of its CPUs if nothing else is said. */
export class Process {
  private readonly space: number;
  private readonly agents: readonly number[];
  private cpu: number;
  private readonly addresses = new Ranges(TOP);

  constructor(
    private readonly out: TraceWriter,
    cpus = 1,
  ) {
    const space = out.space('mm', 'mm');
    this.space = space;
    this.agents = Array.from({ length: cpus }, (_, cpu) => out.agent(`cpu${cpu}`, 'cpu', space));
    this.cpu = this.agents[0]!;
  }

  /** What comes next, CPU `cpu` does. */
  on(cpu: number): void {
    this.cpu = this.agents[cpu]!;
  }

  /** Executes `instructions` of the code page `page` of the program. */
  run(instructions: number, page = 0): void {
    this.execute(CODE + page, instructions);
  }

  /** Executes `instructions` of the page `vpn`. */
  execute(vpn: number, instructions: number): void {
    for (let left = instructions; left > 0; ) {
      this.out.access(this.cpu, FETCH, vpn, false);
      const more = Math.min(left - 1, this.out.room(this.cpu, FETCH));
      this.out.goOn(this.cpu, more, 0);
      left -= 1 + more;
    }
  }

  read(vpn: number, times = 1): void {
    for (let i = 0; i < times; i++) this.out.access(this.cpu, READ, vpn, false);
  }

  write(vpn: number, times = 1): void {
    for (let i = 0; i < times; i++) this.out.access(this.cpu, WRITE, vpn, false);
  }

  /** Maps `pages` anonymous pages, or those of a file, private unless `shared`; the first page. */
  map(pages: number, { prot = DATA, file = false, shared = false, huge = false } = {}): number {
    const first = this.addresses.take(pages);
    const flags = (file ? MAP_FLAG.file : 0) | (shared ? MAP_FLAG.shared : 0) | (huge ? MAP_FLAG.huge : 0);
    this.out.event(this.cpu, 'mmap', [this.space, first, first + pages, prot, flags]);
    return first;
  }

  unmap(first: number, pages: number): void {
    this.addresses.give(first, pages);
    this.out.event(this.cpu, 'munmap', [this.space, first, first + pages]);
  }

  protect(first: number, pages: number, prot: number): void {
    this.out.event(this.cpu, 'mprotect', [this.space, first, first + pages, prot]);
  }

  /** `advice`: a number of `ADVICE`. */
  advise(first: number, pages: number, advice: number): void {
    this.out.event(this.cpu, 'madvise', [this.space, first, first + pages, advice]);
  }

  /** What the kernel does to a range, for the program or on its own account. */
  kernel(op: KernelEvent, first: number, pages: number): void {
    this.out.event(this.cpu, op, [this.space, first, first + pages]);
  }

  /** The child is gone. */
  reap(): void {
    this.out.event(this.cpu, 'reap', [this.space]);
  }
}
