import { TraceError } from '../../model/errors.ts';
import { IOMMU_KINDS, PROT } from '../../model/trace.ts';
import { eachLine } from '../lines.ts';
import type { TraceWriter } from '../writer.ts';
import { type Importer, linesOfHead, Tally } from './importer.ts';
import type { Operation } from './qemu-flushes.ts';
import { isQemuLine, type QemuLine, QemuLines, sourceName } from './qemu-lines.ts';
import { type Device, type Plan, Planner } from './qemu-plan.ts';

/**
 * A Linux guest on QEMU 7.2's emulated IOMMU: QEMU's trace events (vtd_*, amdvi_*) with the guest kernel's map and unmap
 * calls in their places (K lines); without these, mappings are told from translations and invalidations. Read twice: first who is who, then records in the order of lines.
 */
export const qemu: Importer = {
  name: 'qemu',
  summary: 'QEMU vtd_*/amdvi_* trace events, best with the guest kernel in their places',
  source: 'QEMU 7.2 hw/i386/trace-events; traces/FORMAT.md',

  sniff: (head) => linesOfHead(head).some(isQemuLine),

  async read(input, out, options) {
    const planner = new Planner();
    const first = new QemuLines();
    let line = 0;
    await eachLine(input, (text) => planner.read(++line, first.read(text)));
    const recorder = new Recorder(planner.finish(), out, new Tally(input.file, options));
    const second = new QemuLines();
    await eachLine(input, (text) => recorder.read(text, second.read(text)));
    if (recorder.tally.lines !== line) throw new TraceError(input.file, 'changed while it was read');
    return { tally: recorder.tally.finish(), inferred: recorder.inferred() };
  },
};

type Recorded = Exclude<QemuLine, { kind: 'ignored' | 'rejected' }>;

/** A mapping instance while lines are read. */
interface Instance {
  readonly id: number;
  readonly page: number;
  readonly prot: number;
  accesses: number;
  /** Time of its unmap, undefined while it is mapped. */
  ended: number | undefined;
}

/** Writes the records of the second reading. */
class Recorder {
  private readonly cpu: number;
  private readonly agents = new Map<number, number>();
  private readonly byInstance: Instance[] = [];
  /** By domain: page -> instance that covers it, or covered it last. */
  private readonly covered: Map<number, Instance>[] = [];
  private readonly tokens = new Map<Operation, number>();
  private readonly clock: GuestClock;
  /** By agent: time of its last record, or of the end of what its policy did. */
  private readonly busy: number[] = [];
  /** No map or unmap is recorded: they are told from translations and invalidations. */
  private readonly told: boolean;
  private toldMaps = 0;
  private started = false;
  private attached = false;
  private operation = 0;
  /** The last descriptor was submitted for a map or unmap that waits for it. */
  private awaited = false;
  private readonly guessed = { reads: 0, late: 0, denied: 0, raw: 0 };

  constructor(
    private readonly plan: Plan,
    private readonly out: TraceWriter,
    readonly tally: Tally,
  ) {
    this.clock = new GuestClock(plan.clock);
    this.told = plan.operations.length === 0;
    for (const { did, pointer } of plan.domains) {
      out.space(did === undefined ? `domain ${pointer}` : `domain ${did}`, 'domain');
      this.covered.push(new Map());
    }
    if (plan.domains.length === 0) out.space('none', 'domain');
    this.cpu = out.agent('cpu0', 'cpu', 0);
    for (const device of plan.devices) {
      this.agents.set(device.source, out.agent(sourceName(device.source), 'device', device.domain));
    }
  }

  read(text: string, found: QemuLine): void {
    const line = ++this.tally.lines;
    if (found.kind === 'ignored') this.tally.ignore(found.rule);
    else if (found.kind === 'rejected') this.tally.reject(line, text, found.expected);
    else {
      const now = this.clock.at(line, found.stamp);
      if (!this.started) this.start(now);
      if (this.record(line, text, now, found)) this.tally.accepted++;
    }
  }

  inferred(): string[] {
    const { plan, guessed } = this;
    const names = plan.domains.map((_, i) => {
      const devices = plan.devices.filter((device) => device.domain === i).map((device) => sourceName(device.source));
      return devices.length > 0 ? `domain ${plan.domains[i]!.did ?? '?'}: ${devices.join(' ')}` : '';
    });
    const lazy = plan.lazyFrom.flatMap((from, i) =>
      from ? [`domain ${plan.domains[i]!.did} from line ${from.line}`] : [],
    );
    const ats = plan.devices.flatMap((device) => (device.ats ? [sourceName(device.source)] : []));
    const kind = plan.amd ? 'AMD-Vi' : 'Intel VT-d';
    const caching = plan.caching ? 'a map is followed by an invalidation' : 'maps are not invalidated';
    const sentences = [
      `The IOMMU is ${kind}; ${caching}; ${ats.length > 0 ? `ATS is on for ${ats.join(', ')}` : 'no device has ATS on'}.`,
      `A device belongs to the domain whose live mappings agree with its translations (${names.filter(Boolean).join('; ')}).`,
      lazy.length > 0
        ? `The flush queue was in use: ${lazy.join(', ')}. A flush just behind an unmap whose IOVA it does not give back is that unmap's, whose queue was full; the other ${plan.timers.size} are the timer's.`
        : 'The flush queue was not in use: every unmap was flushed at once.',
      `A device access belongs to the last mapping that covered its IOVA at that line; ${guessed.raw} hit none.`,
      `Direction: of ${guessed.reads} accesses to mappings that allow both nothing tells, they count as reads.`,
      'One device access is one translation: at most a page, and QEMU translates when a command starts.',
      `The instants at which the driver submitted commands are inputs, ${plan.submits.size} of them behind other records; the commands are not.`,
    ];
    if (this.told)
      sentences.push(
        `No map or unmap is recorded: a page is mapped from its first translation to the invalidation that covers it (${this.toldMaps} times${plan.amd ? '; AMD lines name no address, so that each ends all of its domain' : ''}).`,
      );
    if (guessed.late > 0)
      sentences.push(
        `${guessed.late} accesses after the unmap of such a mapping count as writes: all that were denied there were.`,
      );
    if (guessed.denied > 0)
      sentences.push(`The direction of ${guessed.denied} denied accesses is taken from their mapping.`);
    sentences.push(
      plan.clock
        ? 'Time is the guest counter of K lines (1 GHz under -icount); lines between two stand in proportion to their host stamps.'
        : 'Time is the host stamp of lines, made monotone; K lines have theirs from a fit of the guest counter to it.',
    );
    if (plan.unstamped > 0)
      sentences.push(
        `${plan.unstamped} K lines have no stamp (the guest had stopped tracing); they take that of the line before.`,
      );
    return sentences;
  }

  /** The machine, before anything else. */
  private start(now: number): void {
    this.started = true;
    for (let agent = 0; agent <= this.agents.size; agent++) this.busy.push(now);
    const { amd, caching, hint, status } = this.plan;
    const kind = IOMMU_KINDS.indexOf(amd ? 'amdvi' : 'vtd');
    this.out.event(this.cpu, 'iommu', [kind, Number(caching), Number(hint), status]);
  }

  /** Devices are attached before the first map or access, unless the driver's own attachment is recorded. */
  private attachAll(now: number): void {
    if (this.attached) return;
    this.attached = true;
    const later = new Set(this.plan.attaches.values());
    for (const device of this.plan.devices) if (!later.has(device)) this.attach(device, now);
  }

  private attach(device: Device, now: number): void {
    const agent = this.agents.get(device.source)!;
    const { did } = this.plan.domains[device.domain]!;
    if (did === undefined) return;
    this.write(agent, 'attach', [device.domain, did, device.source, Number(device.ats)], now);
  }

  /** Whether the line became a record or an outcome. */
  private record(line: number, text: string, now: number, found: Recorded): boolean {
    switch (found.kind) {
      case 'map':
      case 'unmap': {
        const operation = this.plan.operations[this.operation++]!;
        if (operation.rejected !== undefined) {
          this.tally.reject(line, text, operation.rejected);
          return false;
        }
        this.attachAll(now);
        if (operation.held) this.hold(operation, now);
        if (found.kind === 'map') this.map(operation, found, now);
        else this.unmap(operation, now);
        return true;
      }
      case 'iovaFree':
        this.out.outcome('iovaFree', line, [found.page, found.pages, ...this.spaceOf(found.iovad)]);
        return true;
      case 'queueFlush':
        this.tally.ignore('entry of a flush: the descriptor says it');
        return false;
      case 'hit':
      case 'fill':
        if (this.told) this.tellMap(found, now);
        this.access(found, now, directionOf(found.known[1]));
        this.out.outcome(found.kind, line, [found.frame, ...found.known]);
        return true;
      case 'fault':
        if (found.write === undefined) this.guessed.denied++;
        this.access(found, now, found.write);
        this.out.outcome('fault', line, [found.reason, found.page]);
        return true;
      case 'context':
        return true;
      case 'descriptor':
      case 'command':
        this.descriptor(line, now, found.kind === 'command' ? 1 : 5, found.values);
        return true;
      case 'waitDone':
        this.complete(now);
        this.out.outcome('wait', line, []);
        return true;
      case 'reset':
        this.out.outcome('fullReset', line, []);
        return true;
    }
  }

  /** A page that is translated is mapped, at the latest now. */
  private tellMap({ source, page, frame, known }: Extract<Recorded, { kind: 'hit' | 'fill' }>, now: number): void {
    this.attachAll(now);
    const { domain } = this.plan.devices[this.agents.get(source)! - 1]!;
    const before = this.covered[domain]!.get(page);
    if (before && before.ended === undefined) return;
    const prot = (known[1] ?? 0) & 3 || PROT.read | PROT.write;
    const instance = { id: this.toldMaps++, page, prot, accesses: 0, ended: undefined };
    this.covered[domain]!.set(page, instance);
    this.write(this.cpu, 'map', [domain, instance.id, 1, frame, prot, page, 0], now);
  }

  /** What an invalidation covers has been unmapped, at the latest now. */
  private tellUnmaps(values: readonly number[], now: number): void {
    const covered = coveredBy(values, this.plan.amd);
    if (!covered) return;
    const { did, first, end } = covered;
    this.plan.domains.forEach((known, domain) => {
      if (did !== undefined && known.did !== did) return;
      for (const instance of within(this.covered[domain]!, first, end)) {
        if (instance.ended !== undefined) continue;
        instance.ended = now;
        this.write(this.cpu, 'unmap', [domain, instance.id, 1, instance.accesses], now);
      }
    });
  }

  private spaceOf(iovad: string): number[] {
    const domain = this.plan.iovads.get(iovad);
    return domain === undefined ? [] : [domain];
  }

  private map(operation: Operation, found: Extract<QemuLine, { kind: 'map' }>, now: number): void {
    const { domain, instance: id, page, pages } = operation;
    const instance: Instance = { id, page, prot: found.prot, accesses: 0, ended: undefined };
    this.byInstance[id] = instance;
    for (let i = 0; i < pages; i++) this.covered[domain]!.set(page + i, instance);
    this.write(this.cpu, 'map', [domain, id, pages, found.frame, found.prot, page, Number(operation.joined)], now);
  }

  private unmap(operation: Operation, now: number): void {
    const { domain, instance: first, instances } = operation;
    if (this.plan.lazyFrom[domain] === operation) this.write(this.cpu, 'lazy', [domain], now);
    let accesses = 0;
    for (let id = first; id < first + instances; id++) {
      const instance = this.byInstance[id]!;
      instance.ended = now;
      accesses += instance.accesses;
    }
    this.write(this.cpu, 'unmap', [domain, first, instances, accesses], now);
  }

  /** Says that the invalidation of the next operation stands later, at `submit` of the same token. */
  private hold(operation: Operation, now: number): void {
    const taken = new Set(this.tokens.values());
    let token = 0;
    while (taken.has(token)) token++;
    this.tokens.set(operation, token);
    this.write(this.cpu, 'hold', [token], now);
  }

  private descriptor(line: number, now: number, wait: number, values: readonly number[]): void {
    const { submits, timers, attaches } = this.plan;
    const submitted = submits.get(line);
    if (submitted && this.tokens.has(submitted)) {
      if (submitted.flushes) this.busy[this.cpu] = Math.max(this.busy[this.cpu]!, now);
      this.write(this.cpu, 'submit', [this.tokens.get(submitted)!], now);
      this.tokens.delete(submitted);
    }
    const timer = timers.get(line);
    if (timer !== undefined) this.write(this.cpu, 'timer', [timer], now);
    const attached = attaches.get(line);
    if (attached) this.attach(attached, now);
    if (this.told) this.tellUnmaps(values, now);
    this.out.outcome('descriptor', line, values);
    if (values[0] !== wait) this.awaited = submitted?.flushes ?? this.lastFlushes(timer);
    else if (this.plan.amd) this.complete(now);
  }

  /** The descriptor that follows an operation at once is its own. */
  private lastFlushes(timer: number | undefined): boolean {
    return timer === undefined && (this.plan.operations[this.operation - 1]?.flushes ?? false);
  }

  /** A wait is over: what the recorded policy took for it is no think time. */
  private complete(now: number): void {
    if (this.awaited) this.busy[this.cpu] = Math.max(this.busy[this.cpu]!, now);
  }

  private access(
    found: { readonly source: number; readonly page: number; readonly offset: number },
    now: number,
    write: boolean | undefined,
  ): void {
    this.attachAll(now);
    const agent = this.agents.get(found.source)!;
    const device = this.plan.devices[agent - 1]!;
    const { domain } = device;
    const instance = this.covered[domain]!.get(found.page);
    if (!instance) {
      this.guessed.raw++;
      this.write(agent, 'dmaRaw', [domain, found.page, found.offset, Number(write ?? false)], now);
      return;
    }
    const { prot, ended } = instance;
    const open = write === undefined && prot === (PROT.read | PROT.write);
    const late = open && ended !== undefined && device.denied.writes > 0 && device.denied.reads === 0;
    if (late) this.guessed.late++;
    else if (open) this.guessed.reads++;
    const writes = write ?? (late || prot === PROT.write);
    const after = ended === undefined ? 0 : 1 + now - ended;
    instance.accesses++;
    this.write(agent, 'dma', [instance.id, found.page - instance.page, found.offset, Number(writes), after], now);
  }

  private write(agent: number, op: Parameters<TraceWriter['event']>[1], fields: number[], now: number): void {
    this.out.event(agent, op, fields, Math.max(0, now - this.busy[agent]!));
    this.busy[agent] = Math.max(now, this.busy[agent]!);
  }
}

/** What a VT-d IOTLB descriptor (6.5.2.3) or an AMD command (2.4.3) covers; nothing if it is of another kind. */
function coveredBy(values: readonly number[], amd: boolean) {
  const [type, low, second, address, upper] = values as [number, number, number, number, number];
  const all = { first: 0, end: Number.POSITIVE_INFINITY };
  if (amd) return type === 3 ? { did: second & 0xffff, ...all } : type === 8 ? { did: undefined, ...all } : undefined;
  if (type !== 2) return undefined;
  const did = low >>> 16;
  const granularity = (low >>> 4) & 3;
  if (granularity === 1) return { did: undefined, ...all };
  if (granularity !== 3) return { did, ...all };
  const pages = 2 ** (address & 0x3f);
  const page = upper * 2 ** 20 + (address >>> 12);
  return { did, first: page - (page % pages), end: page - (page % pages) + pages };
}

/** The newest instance of each page of a range. */
function* within(covered: ReadonlyMap<number, Instance>, first: number, end: number): Generator<Instance> {
  if (end - first > covered.size) {
    for (const [page, instance] of covered) if (page >= first && page < end) yield instance;
    return;
  }
  for (let page = first; page < end; page++) {
    const instance = covered.get(page);
    if (instance) yield instance;
  }
}

/** Bits of a VT-d entry decide where it allows one direction only; Linux sets the read bit of every present entry. */
function directionOf(permission: number | undefined): boolean | undefined {
  return permission === PROT.read ? false : undefined;
}

/** Time of lines in picoseconds: never backwards. */
class GuestClock {
  private now = 0;
  private next = 0;

  constructor(private readonly knots: Plan['clock']) {}

  at(line: number, stamp: number | undefined): number {
    const time = this.knots ? this.between(line, stamp, this.knots) : stamp;
    if (time !== undefined && time > this.now) this.now = time;
    return this.now;
  }

  /**
   * Between the guest stamps around `line`, in proportion to host stamps: the host says how late between two K lines, not
   * how long after the first. A K line has the host stamp of the line before it, so that what a driver waited for stands
   * at the end of the wait.
   */
  private between(line: number, stamp: number | undefined, knots: NonNullable<Plan['clock']>): number {
    while (this.next < knots.length && knots[this.next]!.line <= line) this.next++;
    const before = knots[this.next - 1];
    const after = knots[this.next];
    const start = knots[0]!.tsc;
    if (!before) return 0;
    // The counter of a guest under -icount runs at 1 GHz.
    const base = (before.tsc - start) * 1000;
    if (before.line === line || stamp === undefined) return base;
    const late = Math.max(0, stamp - before.host);
    if (!after) return base + late;
    const host = after.host - before.host;
    return Math.round(base + (host <= 0 ? 0 : (after.tsc - before.tsc) * 1000 * Math.min(1, late / host)));
  }
}
