import type { QemuLine } from './qemu-lines.ts';

/**
 * What the first reading of a QEMU recording finds out, so that the second can write records in order: which domain a
 * device uses, which maps one unmap ends, and where the driver put the invalidation of each map and unmap.
 */

/** A map or unmap of the kernel, in the order of lines. */
export interface Operation {
  readonly line: number;
  readonly unmap: boolean;
  /** Index of the domain in `Plan.domains`. */
  readonly domain: number;
  readonly page: number;
  readonly pages: number;
  /** Why the line is no operation: what was expected instead. */
  readonly rejected?: string;
  /** Map: its instance. Unmap: the first instance it ends. */
  instance: number;
  /** Unmap: how many it ends. */
  instances: number;
  /** Map: it continues the mapping before it. */
  joined: boolean;
  /** Line of its IOVA's release, Infinity if there is none. */
  freed: number;
  /** Its invalidation is submitted at a later line than the record that follows it. */
  held: boolean;
  /** The driver flushes for it at once: strict unmap, map under caching mode. */
  flushes: boolean;
}

/** A device seen by the IOMMU. */
export interface Device {
  readonly source: number;
  /** Domain id of the driver; undefined if no line tells. */
  did: number | undefined;
  ats: boolean;
  /** Index in `Plan.domains`. */
  domain: number;
}

export interface Plan {
  /** Domain ids of the driver by domain, undefined where no device of it was seen. */
  readonly domains: readonly { readonly pointer: string | undefined; readonly did: number | undefined }[];
  readonly devices: readonly Device[];
  readonly operations: readonly Operation[];
  /** By line: operation whose invalidation is submitted there, though other records lie between. */
  readonly submits: ReadonlyMap<number, Operation>;
  /** By line of the descriptor: domain whose flush-queue timer fired. */
  readonly timers: ReadonlyMap<number, number>;
  /** By line of the context-cache descriptor: device that the driver attaches there. */
  readonly attaches: ReadonlyMap<number, Device>;
  /** By domain: the first unmap that waits in the flush queue. */
  readonly lazyFrom: readonly (Operation | undefined)[];
  readonly amd: boolean;
  readonly caching: boolean;
  readonly hint: boolean;
  /** Address that wait descriptors count from. */
  readonly status: number;
  /** Guest time stamps of K lines, where lines of the host cannot be put on the guest's clock otherwise. */
  readonly clock: readonly { readonly line: number; readonly tsc: number }[] | undefined;
  readonly unstamped: number;
}

interface Domain {
  readonly pointer: string | undefined;
  did: number | undefined;
  /** Page -> map that holds it, or that last held it. */
  readonly live: Map<number, Operation>;
  /** Page -> unmap whose IOVA has not been given back. */
  readonly unfreed: Map<number, Operation>;
  firstQueueFlush: number;
}

/** Anything that decides whose a flush is. `tick` counts records of the trace. */
type Mark =
  | { readonly kind: 'operation'; readonly line: number; readonly tick: number; readonly operation: Operation }
  | { readonly kind: 'queue'; readonly line: number; readonly iovad: string }
  | {
      readonly kind: 'flush';
      readonly line: number;
      readonly tick: number;
      readonly did: number;
      /** First page, or -1: the whole domain, or not recorded. */
      readonly page: number;
      /** Device whose context entry was invalidated just before: the flush is part of its attachment. */
      readonly attaches: number | undefined;
    };

const VOTES = 50; //  per device, as many as settle it
const NESTED = 8; //  operations that interrupts may leave unfinished at once

/** Reads all lines once; `finish` says what they mean. */
export class Planner {
  private readonly domains: Domain[] = [];
  private readonly domainOf = new Map<string, number>();
  private readonly devices = new Map<number, Device & { votes: number; readonly byDomain: Map<number, number> }>();
  private readonly operations: Operation[] = [];
  /** By unmap, and by each map it ended: all maps it ended. */
  private readonly ended = new Map<Operation, Operation[]>();
  private readonly frames = new Map<Operation, number>();
  private readonly iovads = new Map<string, number>();
  private readonly marks: Mark[] = [];
  private readonly clock: { line: number; tsc: number }[] = [];
  private readonly attachLines = new Map<number, number>();
  private tick = 0;
  private amd = false;
  private hint: boolean | undefined;
  private status: number | undefined;
  private context: { readonly source: number; readonly line: number } | undefined;
  private hostStamps = 0;
  private unstamped = 0;

  read(line: number, found: QemuLine): void {
    switch (found.kind) {
      case 'map':
      case 'unmap':
        this.operation(line, found);
        break;
      case 'iovaFree':
        this.free(line, found.iovad, found.page);
        break;
      case 'queueFlush':
        this.marks.push({ kind: 'queue', line, iovad: found.iovad });
        break;
      case 'hit':
      case 'fill':
        this.tick++;
        this.vote(this.device(found.source), found.page, found.frame, found.known[0]);
        break;
      case 'fault':
        this.tick++;
        this.device(found.source);
        break;
      case 'context': {
        const device = this.device(found.source);
        device.did = found.domain;
        device.ats = found.ats;
        break;
      }
      case 'descriptor':
        this.descriptor(line, found.values);
        break;
      case 'command':
        this.amd = true;
        if (found.values[0] === 3) this.flush(line, found.values[2]! & 0xffff, -1);
        break;
      default:
    }
  }

  finish(): Plan {
    this.settleDevices();
    const caching = this.isCaching();
    const lazyFrom = this.domains.map((domain, i) => this.lazyFrom(domain, i));
    const { submits, timers } = this.settleFlushes(caching, lazyFrom);
    this.numberInstances();
    const attaches = new Map<number, Device>();
    for (const [line, source] of this.attachLines) attaches.set(line, this.devices.get(source)!);
    return {
      domains: this.domains,
      devices: [...this.devices.values()],
      operations: this.operations,
      submits,
      timers,
      attaches,
      lazyFrom,
      amd: this.amd,
      caching,
      hint: this.hint ?? false,
      status: this.status ?? 0,
      clock: this.clock.length > 0 && this.hostStamps === 0 ? this.clock : undefined,
      unstamped: this.unstamped,
    };
  }

  private operation(line: number, found: Extract<QemuLine, { kind: 'map' | 'unmap' }>): void {
    if (found.tsc === undefined) this.unstamped++;
    else this.clock.push({ line, tsc: found.tsc });
    if (found.stamp !== undefined) this.hostStamps++;
    const domain = this.domainIndex(found.domain);
    const { live, unfreed } = this.domains[domain]!;
    const held = { instance: 0, instances: 0, joined: false, freed: Number.POSITIVE_INFINITY, held: false, flushes: false };
    const operation = { line, unmap: found.kind === 'unmap', domain, page: found.page, pages: found.pages, ...held };
    const rejected =
      found.kind === 'map' ? this.map(operation, live, found.frame) : this.unmap(operation, live, unfreed);
    this.operations.push(rejected === undefined ? operation : { ...operation, rejected });
    if (rejected !== undefined) return;
    this.tick++;
    this.marks.push({ kind: 'operation', line, tick: this.tick, operation });
  }

  private map(operation: Operation, live: Map<number, Operation>, frame: number): string | undefined {
    const end = operation.page + operation.pages;
    for (let page = operation.page; page < end; page++) {
      const before = live.get(page);
      if (before && !this.ended.has(before)) return 'a map of pages that are free';
    }
    for (let page = operation.page; page < end; page++) live.set(page, operation);
    this.frames.set(operation, frame);
    return undefined;
  }

  private unmap(
    operation: Operation,
    live: Map<number, Operation>,
    unfreed: Map<number, Operation>,
  ): string | undefined {
    const maps = new Set<Operation>();
    const end = operation.page + operation.pages;
    for (let page = operation.page; page < end; page++) {
      const map = live.get(page);
      const whole = map && map.page >= operation.page && map.page + map.pages <= end && !this.ended.has(map);
      if (!whole) return 'an unmap of whole mappings';
      maps.add(map);
    }
    const list = [...maps];
    for (const map of list) this.ended.set(map, list);
    unfreed.set(operation.page, operation);
    operation.instances = list.length;
    this.ended.set(operation, list);
    return undefined;
  }

  private free(line: number, iovad: string, page: number): void {
    let index = this.iovads.get(iovad);
    if (index === undefined) {
      const owners = this.domains.flatMap((domain, i) => (domain.unfreed.has(page) ? [i] : []));
      const taken = new Set(this.iovads.values());
      index = owners.find((owner) => !taken.has(owner));
      if (index === undefined) return;
      this.iovads.set(iovad, index);
    }
    const { unfreed } = this.domains[index]!;
    const unmap = unfreed.get(page);
    if (!unmap) return;
    unmap.freed = line;
    unfreed.delete(page);
  }

  private vote(
    device: Device & { votes: number; readonly byDomain: Map<number, number> },
    page: number,
    frame: number,
    did: number | undefined,
  ): void {
    device.did ??= did;
    if (device.votes >= VOTES) return;
    this.domains.forEach((domain, i) => {
      const map = domain.live.get(page);
      if (!map || this.ended.has(map)) return;
      // AMD prints the first frame of the large page that holds the page.
      const first = this.frames.get(map)!;
      if (this.amd ? frame < first || frame >= first + map.pages : frame !== first + page - map.page) return;
      device.votes++;
      device.byDomain.set(i, (device.byDomain.get(i) ?? 0) + 1);
    });
  }

  private descriptor(line: number, values: readonly number[]): void {
    const [type, low, , second, third] = values as [number, number, number, number, number];
    const granularity = (low >>> 4) & 3;
    const { context } = this;
    if (type !== 5) this.context = undefined;
    if (type === 1 && granularity === 3) this.context = { source: values[2]! & 0xffff, line };
    // The first wait of a queue stands in slot 1, and the driver keeps one status word per slot (dmar.c).
    if (type === 5) this.status ??= second + third * 2 ** 32 - 4;
    if (type !== 2 || granularity === 1) return;
    const did = low >>> 16;
    if (granularity === 3) {
      this.hint ??= (second & 64) !== 0;
      this.flush(line, did, Math.floor(second / 4096) + third * 2 ** 20);
      return;
    }
    if (context) {
      const device = this.device(context.source);
      device.did ??= did;
      this.attachLines.set(context.line, context.source);
    }
    this.flush(line, did, -1, context?.source);
  }

  private flush(line: number, did: number, page: number, attaches?: number): void {
    this.marks.push({ kind: 'flush', line, tick: this.tick, did, page, attaches });
  }

  private domainIndex(pointer: string): number {
    let index = this.domainOf.get(pointer);
    if (index === undefined) {
      index = this.addDomain(pointer, undefined);
      this.domainOf.set(pointer, index);
    }
    return index;
  }

  private addDomain(pointer: string | undefined, did: number | undefined): number {
    const maps = { live: new Map<number, Operation>(), unfreed: new Map<number, Operation>() };
    return this.domains.push({ pointer, did, ...maps, firstQueueFlush: Number.POSITIVE_INFINITY }) - 1;
  }

  private device(source: number) {
    let device = this.devices.get(source);
    if (!device) {
      device = { source, did: undefined, ats: false, domain: -1, votes: 0, byDomain: new Map() };
      this.devices.set(source, device);
    }
    return device;
  }

  /** Domain of each device: the one whose live mappings agree with most of its translations. */
  private settleDevices(): void {
    for (const device of this.devices.values()) {
      const [best] = [...device.byDomain].sort((a, b) => b[1] - a[1]);
      if (!best) continue;
      device.domain = best[0];
      this.domains[best[0]]!.did ??= device.did;
    }
    for (const device of this.devices.values()) {
      if (device.domain >= 0) continue;
      const known = this.domains.findIndex((domain) => domain.did !== undefined && domain.did === device.did);
      device.domain = known >= 0 ? known : this.addDomain(undefined, device.did);
    }
  }

  /** Caching mode, or NpCache: a map is followed by an invalidation of its own. */
  private isCaching(): boolean {
    let maps = 0;
    let flushed = 0;
    this.marks.forEach((mark, i) => {
      if (mark.kind !== 'operation' || mark.operation.unmap) return;
      const { did } = this.domains[mark.operation.domain]!;
      if (did === undefined) return;
      maps++;
      const next = this.marks[i + 1];
      const own = next?.kind === 'flush' && next.did === did && (this.amd || next.page === mark.operation.page);
      if (own) flushed++;
    });
    return flushed * 2 > maps;
  }

  /** First unmap of a domain that was not given back before the first flush of a flush queue. */
  private lazyFrom(domain: Domain, index: number): Operation | undefined {
    for (const mark of this.marks) {
      const vtd = mark.kind === 'flush' && !this.amd && mark.page === -1 && mark.attaches === undefined;
      const queue = mark.kind === 'queue' && this.iovads.get(mark.iovad) === index;
      if (queue || (vtd && mark.kind === 'flush' && mark.did === domain.did)) {
        domain.firstQueueFlush = mark.line;
        break;
      }
    }
    const flushed = domain.firstQueueFlush;
    if (flushed === Number.POSITIVE_INFINITY) return undefined;
    return this.operations.find((o) => o.unmap && !o.rejected && o.domain === index && !(o.freed < flushed));
  }

  /**
   * Whose each flush is. Strict: the innermost unfinished operation it fits, since interrupts nest. From a flush queue:
   * the unmap just before it, whose queue was full, or a timer. They differ in one thing: an unmap that flushes a full
   * queue joins it only afterwards, so its own IOVA is not among those that this flush gives back (Linux 6.1
   * drivers/iommu/dma-iommu.c queue_iova).
   */
  private settleFlushes(caching: boolean, lazyFrom: readonly (Operation | undefined)[]) {
    const submits = new Map<number, Operation>();
    const timers = new Map<number, number>();
    const ticks = new Map<Operation, number>();
    const marked = new Set<number>();
    let pending: Operation[] = [];
    let last: Operation | undefined;
    let lastTimer = 0;
    const submit = (operation: Operation, mark: Extract<Mark, { kind: 'flush' }>): void => {
      operation.held = ticks.get(operation) !== mark.tick || lastTimer > operation.line;
      if (operation.held) submits.set(mark.line, operation);
    };
    this.marks.forEach((mark, i) => {
      if (mark.kind === 'queue') {
        marked.add(this.iovads.get(mark.iovad) ?? -1);
        return;
      }
      if (mark.kind === 'operation') {
        const { operation } = mark;
        const lazy = lazyFrom[operation.domain];
        const attached = this.domains[operation.domain]!.did !== undefined;
        operation.flushes = operation.unmap ? !lazy || operation.line < lazy.line : caching && attached;
        ticks.set(operation, mark.tick);
        last = operation;
        if (operation.flushes) pending = [...pending, operation].slice(-NESTED);
        return;
      }
      if (mark.attaches !== undefined) return;
      const domain = this.domains.findIndex(({ did }) => did === mark.did);
      if (domain < 0) return;
      const fits = (o: Operation): boolean =>
        o.domain === domain && o.freed > mark.line && (this.amd || o.page === mark.page);
      const own = this.amd && marked.delete(domain) ? undefined : pending.findLast(fits);
      if (own && (this.amd || mark.page >= 0)) {
        pending = pending.filter((o) => o !== own);
        submit(own, mark);
        return;
      }
      const lazy = lazyFrom[domain];
      if (mark.page >= 0 || !lazy || mark.line < lazy.line) return;
      const next = this.marks.slice(i + 1, i + 4).find((other) => other.kind !== 'queue');
      const full = last?.unmap && last.domain === domain && !last.flushes && last.freed > (next?.line ?? Number.POSITIVE_INFINITY);
      if (full && !submits.has(last!.line) && ticks.has(last!)) {
        submit(last!, mark);
        last = undefined;
      } else {
        timers.set(mark.line, domain);
        lastTimer = mark.line;
      }
    });
    return { submits, timers };
  }

  /** Dense ids, in the order of maps, but consecutive for the maps that one unmap ends. */
  private numberInstances(): void {
    let next = 0;
    const numbered = new Set<Operation>();
    for (const operation of this.operations) {
      if (operation.unmap || operation.rejected !== undefined || numbered.has(operation)) continue;
      const group = this.ended.get(operation) ?? [operation];
      for (const [i, map] of group.entries()) {
        map.instance = next++;
        map.joined = i > 0;
        numbered.add(map);
      }
    }
    for (const operation of this.operations) {
      if (operation.unmap && operation.rejected === undefined) operation.instance = this.ended.get(operation)![0]!.instance;
    }
  }
}
