import type { Cpu as CpuPart } from '../model/machine.ts';
import type { Agent, Turns } from './agent.ts';
import type { Counts } from './counts.ts';
import type { Page } from './page.ts';
import type { Price } from './queue.ts';
import type { Space } from './space.ts';

/** Flushes of the CPUs' TLBs: by IPI, by IPI and generations, or broadcast by an instruction. */
export class Shootdown {
  /** Flushes begun; and the last one that each CPU has made good. */
  private generation = 0;
  private readonly current = new Map<Agent, number>();
  /** CPUs that a flush has left out. */
  private readonly leftOut = new Set<Agent>();
  private readonly idleUntil = new Map<Agent, number>();
  /** Reclaim has put a flush off since somebody has last made sure that none is missing. */
  deferred = false;

  constructor(
    private readonly how: CpuPart['shootdown'],
    private readonly cpus: readonly Agent[],
    private readonly space: Space,
    private readonly price: Price,
    private readonly counts: Counts,
  ) {}

  /** Waits for I/O until its clock. */
  idle(agent: Agent): void {
    this.idleUntil.set(agent, agent.clock);
  }

  private isIdle(cpu: Agent, now: number): boolean {
    const waits = cpu.state === 'blocked' && cpu.waitsFor === 'frame_wait';
    return waits || now < (this.idleUntil.get(cpu) ?? 0);
  }

  /** `size`: pages that instructions are spent on. */
  *flush(agent: Agent, pages: readonly Page[], full: boolean, size = pages.length): Turns {
    if (this.how === 'invlpgb') {
      const instructions = full ? 1 : size;
      agent.spend('cpu_flush', this.price('cpu.invlpgb') * instructions + this.price('cpu.tlbsync'));
      yield;
      for (const cpu of this.cpus) this.drop(cpu, pages, full, agent.clock);
      return;
    }
    const lazy = this.how === 'tlb-gen';
    const generation = ++this.generation;
    const others = this.cpus.filter((cpu) => cpu !== agent && cpu.state !== 'done');
    const spared = others.filter((cpu) => lazy && this.isIdle(cpu, agent.clock));
    for (const cpu of spared) {
      this.leftOut.add(cpu);
      this.counts.reach('idle CPU left out');
    }
    const asked = others.filter((cpu) => !spared.includes(cpu));
    const mine = this.cpus.includes(agent);
    if (mine) agent.spend('cpu_flush', full ? this.price('cpu.flush_full') : this.price('cpu.invlpg') * size);
    if (asked.length > 0) {
      this.counts.add('IPI');
      agent.spend('ipi', this.price('cpu.ipi_first') + this.price('cpu.ipi_next') * (asked.length - 1));
    }
    yield;
    for (const cpu of this.cpus) {
      if (spared.includes(cpu) && cpu.state !== 'done') continue;
      if (lazy) this.advance(cpu, generation, pages, full, agent.clock);
      else this.drop(cpu, pages, full, agent.clock);
      if (!asked.includes(cpu) || cpu.state === 'done') continue;
      cpu.spend('interrupted', this.price('cpu.ipi_handler'));
      const known = cpu.tell();
      cpu.hear(agent.tell());
      agent.hear(known);
      if (mine) this.counts.reach('one CPU interrupts another');
    }
  }

  /** What reclaim has put off, done by somebody who cannot wait for it. */
  *flushDeferred(agent: Agent): Turns {
    this.counts.add('CPU_PENDING');
    yield* this.flush(agent, [], true);
    this.deferred = false;
  }

  private drop(cpu: Agent, pages: readonly Page[], full: boolean, now: number): void {
    const tlbs = this.space.cpus[cpu.id]!;
    if (full) this.space.flushCpu(tlbs, now);
    else for (const page of pages) this.space.flushCpuPage(tlbs, page, now);
  }

  /** Nothing if a later flush has done it already; everything if one was missed or another is under way. */
  private advance(cpu: Agent, generation: number, pages: readonly Page[], full: boolean, now: number): void {
    const current = this.current.get(cpu) ?? 0;
    if (current === this.generation) {
      this.counts.reach('flushed already');
      return;
    }
    const next = generation === current + 1 && generation === this.generation;
    if (!next) this.counts.reach('flushes all: one was missed');
    this.current.set(cpu, this.generation);
    this.drop(cpu, pages, full || !next, now);
  }

  /** A CPU that was left out comes back. Returns whether it has flushes to make good. */
  catchUp(cpu: Agent): boolean {
    if (!this.leftOut.delete(cpu) || this.current.get(cpu) === this.generation) return false;
    this.counts.reach('idle CPU comes back');
    this.current.set(cpu, this.generation);
    this.drop(cpu, [], true, cpu.clock);
    cpu.spend('cpu_flush', this.price('cpu.flush_full'));
    return true;
  }
}
