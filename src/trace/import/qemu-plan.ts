import { type Flushes, type Mark, type Operation, settleFlushes } from './qemu-flushes.ts';
import type { QemuLine } from './qemu-lines.ts';

/**
 * What the first reading of a QEMU recording finds out, so that the second can write records in order: which domain a
 * device uses, which maps one unmap ends, and where the driver put the invalidation of each map and unmap.
 */

/** A device seen by the IOMMU. */
export interface Device {
  readonly source: number;
  /** Domain id of the driver; undefined if no line tells. */
  did: number | undefined;
  ats: boolean;
  /** Index in `Plan.domains`. */
  domain: number;
  /** Denied accesses whose direction is recorded. */
  readonly denied: { reads: number; writes: number };
}

/** A line with a guest time stamp, and the host stamp of the last line before it that has one. */
export interface Knot {
  readonly line: number;
  readonly tsc: number;
  readonly host: number;
}

/** What a recording says, read as a whole before it is written as a trace. */
export interface Plan extends Flushes {
  /** Domain ids of the driver by domain, undefined where no device of it was seen. */
  readonly domains: readonly { readonly pointer: string | undefined; readonly did: number | undefined }[];
  readonly devices: readonly Device[];
  readonly operations: readonly Operation[];
  /** Domain by the kernel's pointer to its IOVA domain. */
  readonly iovads: ReadonlyMap<string, number>;
  /** By line of the context-cache descriptor: device that the driver attaches there. */
  readonly attaches: ReadonlyMap<number, Device>;
  readonly amd: boolean;
  readonly hint: boolean;
  /** Address that wait descriptors count from. */
  readonly status: number;
  /** Guest time stamps of K lines, where lines of the host cannot be put on the guest's clock otherwise. */
  readonly clock: readonly Knot[] | undefined;
  readonly unstamped: number;
}

interface Domain {
  readonly pointer: string | undefined;
  did: number | undefined;
  /** Page -> map that holds it, or that last held it. */
  readonly live: Map<number, Operation>;
  /** Page -> unmap whose IOVA has not been given back. */
  readonly unfreed: Map<number, Operation>;
}

const VOTES = 50; //  per device, as many as settle it
/** IOVA pages that the mappings of one recording may cover, all in all: 32 GiB. */
const MAX_COVERED = 1 << 23;

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
  private readonly clock: Knot[] = [];
  private host = 0;
  private readonly attachLines = new Map<number, number>();
  private tick = 0;
  private covered = 0;
  private amd = false;
  private hint: boolean | undefined;
  private status: number | undefined;
  private context: { readonly source: number; readonly line: number } | undefined;
  private hostStamps = 0;
  private unstamped = 0;

  read(line: number, found: QemuLine): void {
    if (found.kind !== 'ignored' && found.kind !== 'rejected') this.host = Math.max(this.host, found.stamp ?? 0);
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
        this.deny(this.device(found.source), found.write);
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
        // All waits of the driver store to one address.
        if (found.values[0] === 1) this.status ??= found.values[1]! - 1 + (found.values[2]! & 0xfffff) * 2 ** 32;
        break;
      default:
    }
  }

  finish(): Plan {
    this.settleDevices();
    this.numberInstances();
    const attaches = new Map<number, Device>();
    for (const [line, source] of this.attachLines) attaches.set(line, this.devices.get(source)!);
    const { domains, operations, marks, iovads, amd } = this;
    return {
      ...settleFlushes({ marks, operations, domains, iovads, amd }),
      domains,
      devices: [...this.devices.values()],
      operations,
      iovads,
      attaches,
      amd,
      hint: this.hint ?? false,
      status: this.status ?? 0,
      clock: this.clock.length > 0 && this.hostStamps === 0 ? this.clock : undefined,
      unstamped: this.unstamped,
    };
  }

  private operation(line: number, found: Extract<QemuLine, { kind: 'map' | 'unmap' }>): void {
    if (found.tsc === undefined) this.unstamped++;
    else this.clock.push({ line, tsc: found.tsc, host: this.host });
    if (found.stamp !== undefined) this.hostStamps++;
    const domain = this.domainIndex(found.domain);
    const { live, unfreed } = this.domains[domain]!;
    const held = {
      instance: 0,
      instances: 0,
      joined: false,
      freed: Number.POSITIVE_INFINITY,
      held: false,
      flushes: false,
    };
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
    if (this.covered + operation.pages > MAX_COVERED) return `a map within ${MAX_COVERED} pages of IOVAs in all`;
    const before = live.size;
    for (let page = operation.page; page < end; page++) live.set(page, operation);
    this.covered += live.size - before;
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

  private deny({ denied }: Device, write: boolean | undefined): void {
    if (write === true) denied.writes++;
    else if (write === false) denied.reads++;
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
    return this.domains.push({ pointer, did, ...maps }) - 1;
  }

  private device(source: number) {
    let device = this.devices.get(source);
    if (!device) {
      device = {
        source,
        did: undefined,
        ats: false,
        domain: -1,
        denied: { reads: 0, writes: 0 },
        votes: 0,
        byDomain: new Map(),
      };
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

  /**
   * Dense ids, in the order of maps, but consecutive for the maps that one unmap ends: the pieces of one mapping. Of what
   * is never unmapped, pieces are maps that follow one another, upwards and with nothing between: the IOVAs of separate
   * mappings go downwards.
   */
  private numberInstances(): void {
    let next = 0;
    const numbered = new Set<Operation>();
    this.marks.forEach((mark, i) => {
      if (mark.kind !== 'operation' || mark.operation.unmap || numbered.has(mark.operation)) return;
      const { operation, tick } = mark;
      const group = this.ended.get(operation) ?? [operation];
      for (const [piece, map] of group.entries()) {
        map.instance = next++;
        map.joined = piece > 0;
        numbered.add(map);
      }
      const before = this.marks[i - 1];
      if (this.ended.has(operation) || before?.kind !== 'operation' || before.tick !== tick - 1) return;
      const { unmap, domain, page, pages } = before.operation;
      const follows = !unmap && domain === operation.domain && page + pages === operation.page;
      operation.joined = follows && !this.ended.has(before.operation);
    });
    for (const operation of this.operations) {
      if (operation.unmap && operation.rejected === undefined)
        operation.instance = this.ended.get(operation)![0]!.instance;
    }
  }
}
