import { FAULT_REASON, type OrderCause, type OrderMachine, type OrderPolicy, type Prediction } from '../model/order.ts';
import { IOMMU_KINDS, PROT, type TraceEvent } from '../model/trace.ts';

interface Device {
  readonly agent: number;
  readonly space: number;
  readonly source: number;
  readonly ats: boolean;
}

interface Instance {
  readonly space: number;
  readonly page: number;
  readonly pages: number;
  readonly frame: number;
  readonly prot: number;
  live: boolean;
}

interface Entry {
  readonly agent: number;
  readonly page: number;
  readonly frame: number;
  readonly domain: number;
  readonly prot: number;
}

/** A map or unmap whose invalidation is still to come. */
interface Work {
  readonly unmap: boolean;
  readonly agent: number;
  readonly space: number;
  readonly page: number;
  readonly pages: number;
}

interface Queued {
  readonly page: number;
  readonly pages: number;
  readonly counter: number;
}

/** Flush-queue state of a domain: Linux 6.1 drivers/iommu/dma-iommu.c, struct iommu_dma_cookie. */
interface Queue {
  started: number;
  finished: number;
  readonly rings: Map<number, Queued[]>;
}

/** Order replay in plain lists: slow, and written to be read. */
export class OrderReference {
  readonly predictions: Prediction[] = [];
  private readonly kind: 'vtd' | 'amdvi';
  private caching = false;
  private hint = false;
  private status = 0;
  private slot = 0;
  private readonly devices = new Map<number, Device>();
  private readonly domains = new Map<number, number>();
  private readonly lazy = new Set<number>();
  private readonly queues = new Map<number, Queue>();
  private readonly instances = new Map<number, Instance>();
  private readonly held = new Map<number, Work>();
  private holding: number | undefined;
  private entries: Entry[] = [];
  private record = -1;
  private cause: OrderCause = 'none';

  constructor(
    private readonly machine: OrderMachine,
    private readonly policy: OrderPolicy,
  ) {
    this.kind = machine.commands;
  }

  /** One event of the trace, which is record `record`. */
  event(record: number, { op, agent, fields }: TraceEvent): void {
    this.record = record;
    const [a, b, c, d, e, f] = fields as [number, number, number, number, number, number];
    switch (op) {
      case 'iommu':
        this.enable(a, b, c, d);
        break;
      case 'attach':
        this.attach({ agent, space: a, source: c, ats: d === 1 }, b);
        break;
      case 'map':
        this.instances.set(b, { space: a, page: f, pages: c, frame: d, prot: e, live: true });
        this.map({ unmap: false, agent, space: a, page: f, pages: c }, fields[6] === 1);
        break;
      case 'unmap':
        this.run({ unmap: true, agent, space: a, ...this.end(b, c) });
        break;
      case 'dma': {
        const instance = this.instances.get(a)!;
        this.translate(agent, instance.page + b, d === 1, instance, b);
        break;
      }
      case 'dmaRaw':
        this.translate(agent, b, d === 1, undefined, 0);
        break;
      case 'lazy':
        this.lazy.add(a);
        break;
      case 'hold':
        this.holding = a;
        break;
      case 'submit':
        this.submitHeld(a);
        break;
      case 'timer':
        this.timer(a);
        break;
      default:
    }
  }

  private enable(kind: number, caching: number, hint: number, status: number): void {
    if (IOMMU_KINDS[kind] !== this.kind) return;
    this.caching = caching === 1;
    this.hint = hint === 1;
    this.status = status;
    this.cause = 'enable';
    if (this.kind !== 'vtd') return;
    this.submitContext(1, 0);
    this.submitIotlb(1, 0, 0, 0, false);
  }

  private attach(device: Device, domain: number): void {
    this.devices.set(device.agent, device);
    this.domains.set(device.space, domain);
    this.cause = 'attach';
    if (this.kind !== 'vtd' || !this.caching) return;
    this.submitContext(3, device.source);
    this.submitIotlb(2, domain, 0, 0, false);
  }

  /** Ends instances; returns the pages of all. */
  private end(first: number, instances: number): { page: number; pages: number } {
    let pages = 0;
    for (let id = first; id < first + instances; id++) {
      const instance = this.instances.get(id)!;
      instance.live = false;
      pages += instance.pages;
    }
    return { page: this.instances.get(first)!.page, pages };
  }

  /** A piece of a scatter list widens the invalidation that its first piece has held (iommu_map_sg). */
  private map(work: Work, joined: boolean): void {
    if (joined) {
      for (const [token, held] of this.held) {
        if (held.unmap || held.space !== work.space || held.page + held.pages !== work.page) continue;
        this.held.set(token, { ...held, pages: held.pages + work.pages });
        return;
      }
    }
    this.run(work);
  }

  private run(work: Work): void {
    if (this.holding === undefined) this.invalidate(work);
    else this.held.set(this.holding, work);
    this.holding = undefined;
  }

  private submitHeld(token: number): void {
    const work = this.held.get(token);
    this.held.delete(token);
    if (work) this.invalidate(work);
  }

  private invalidate(work: Work): void {
    this.cause = work.unmap ? 'strict' : 'map';
    if (!work.unmap) {
      if (this.caching) this.invalidatePages(work, false);
      return;
    }
    if (this.policy === 'lazy' || (this.policy === 'recorded' && this.lazy.has(work.space))) {
      this.enqueue(work);
      return;
    }
    this.invalidatePages(work, true);
    this.row('iovaFree', work.page, work.pages, work.space);
  }

  private queueOf(space: number): Queue {
    const queue = this.queues.get(space) ?? { started: 0, finished: 0, rings: new Map() };
    this.queues.set(space, queue);
    return queue;
  }

  /** queue_iova */
  private enqueue({ agent, space, page, pages }: Work): void {
    const queue = this.queueOf(space);
    const ring = queue.rings.get(agent) ?? [];
    queue.rings.set(agent, ring);
    this.reclaim(space, queue, ring);
    if (ring.length === this.machine.queue - 1) {
      this.cause = 'queue-full';
      this.flushQueue(space, queue);
      this.reclaim(space, queue, ring);
    }
    ring.push({ page, pages, counter: queue.started });
  }

  /** fq_flush_timeout */
  private timer(space: number): void {
    const queue = this.queueOf(space);
    this.cause = 'timer';
    this.flushQueue(space, queue);
    for (const [, ring] of [...queue.rings].sort((a, b) => a[0] - b[0])) this.reclaim(space, queue, ring);
  }

  /** fq_flush_iotlb */
  private flushQueue(space: number, queue: Queue): void {
    queue.started++;
    this.invalidateDomain(space);
    queue.finished++;
  }

  /** fq_ring_free */
  private reclaim(space: number, queue: Queue, ring: Queued[]): void {
    while (ring.length > 0 && ring[0]!.counter < queue.finished) {
      const { page, pages } = ring.shift()!;
      this.row('iovaFree', page, pages, space);
    }
  }

  /** Devices of a space that have a TLB of their own, by agent. */
  private atsOf(space: number): Device[] {
    return [...this.devices.values()].filter((d) => d.ats && d.space === space).sort((a, b) => a.agent - b.agent);
  }

  private invalidatePages({ space, page, pages }: Work, devices: boolean): void {
    const domain = this.domains.get(space);
    if (domain === undefined) return;
    const ats = devices ? this.atsOf(space) : [];
    if (this.kind === 'vtd') {
      const order = coveringOrder(page, pages);
      if (order > this.machine.maxOrder) this.submitIotlb(2, domain, 0, 0, false);
      else this.submitIotlb(3, domain, page, order, this.hint);
      for (const device of ats) this.submitDevice(device, page, order);
      return;
    }
    for (let at = page; at < page + pages; ) {
      const order = alignedOrder(at, page + pages - at);
      this.amdPages(domain, at, order, false);
      for (const device of ats) this.amdDevice(device, at, order);
      at += 2 ** order;
    }
    this.amdWait();
  }

  private invalidateDomain(space: number): void {
    const domain = this.domains.get(space);
    if (domain === undefined) return;
    if (this.kind === 'vtd') {
      this.submitIotlb(2, domain, 0, 0, false);
      if (!this.caching) for (const device of this.atsOf(space)) this.submitDevice(device, 0, ORDER_ALL);
      return;
    }
    this.amdPages(domain, 0, ORDER_ALL, true);
    for (const device of this.atsOf(space)) this.amdDevice(device, 0, ORDER_ALL);
    this.amdWait();
  }

  private submitContext(granularity: number, source: number): void {
    this.submit(1, [0x1 + granularity * 16, source, 0, 0]);
  }

  private submitIotlb(granularity: number, domain: number, page: number, order: number, hint: boolean): void {
    const low = 0xc2 + granularity * 16 + domain * 2 ** 16;
    const [second, third] = halves(page);
    this.submit(2, [low, 0, second + (hint ? 64 : 0) + order, third], () =>
      this.drop(domain, granularity === 3 ? page : undefined, order, granularity === 1),
    );
  }

  private submitDevice(device: Device, page: number, order: number): void {
    this.submit(3, [3, device.source, ...sized(page, order, 0)]);
  }

  /** A descriptor and its wait: qi_submit_sync. */
  private submit(type: number, words: readonly number[], effect: () => void = () => {}): void {
    this.row('descriptor', type, ...words);
    effect();
    const { slots } = this.machine;
    const status = this.status + 4 * ((this.slot + 1) % slots);
    this.row('descriptor', 5, 0x25, 2, status % 2 ** 32, Math.floor(status / 2 ** 32));
    this.row('wait');
    this.slot = (this.slot + 2) % slots;
  }

  private amdPages(domain: number, page: number, order: number, upper: boolean): void {
    this.row('descriptor', 3, 0, 3 * 2 ** 28 + domain, ...sized(page, order, upper ? 2 : 0));
    this.drop(domain, page, order, false);
  }

  private amdDevice(device: Device, page: number, order: number): void {
    this.row('descriptor', 4, device.source, 4 * 2 ** 28 + device.source, ...sized(page, order, 0));
  }

  private amdWait(): void {
    this.row('descriptor', 1, (this.status % 2 ** 32) + 1, 2 ** 28 + Math.floor(this.status / 2 ** 32));
  }

  /** Drops entries of a domain: all, or those a block invalidation drops on this machine. */
  private drop(domain: number, page: number | undefined, order: number, all: boolean): void {
    const { drops } = this.machine;
    this.entries = this.entries.filter((entry) => {
      if (all) return false;
      if (entry.domain !== domain) return true;
      if (page === undefined || drops === 'domain' || order >= ORDER_ALL) return false;
      const [ours, theirs] = drops === 'low-byte' ? [entry.page % 256, page % 256] : [entry.page, page];
      return Math.floor(ours / 2 ** order) !== Math.floor(theirs / 2 ** order);
    });
  }

  private translate(agent: number, page: number, write: boolean, instance: Instance | undefined, index: number): void {
    const device = this.devices.get(agent);
    const domain = device && this.domains.get(device.space);
    const vtd = this.kind === 'vtd';
    const found = this.entries.find((entry) => entry.agent === agent && entry.page === page);
    const present = instance?.live === true && instance.space === device?.space;
    const denied = !present || (vtd && write && (instance.prot & PROT.write) === 0);
    if (domain === undefined) this.row('fault', vtd ? FAULT_REASON.context : 0, page);
    else if (found) this.row('hit', found.frame, found.domain, found.prot);
    else if (denied) this.row('fault', vtd ? (write ? FAULT_REASON.write : FAULT_REASON.read) : 0, page);
    else this.fill(agent, page, domain, instance, index);
  }

  private fill(agent: number, page: number, domain: number, instance: Instance, index: number): void {
    const vtd = this.kind === 'vtd';
    // VT-d: Linux sets the read bit of every present entry. AMD: QEMU keeps the first frame of a large page.
    const prot = vtd ? instance.prot | PROT.read : instance.prot;
    const frame = instance.frame + (vtd ? index : index - (index % largePage(instance)));
    this.row('fill', frame, domain, prot);
    if (this.entries.length >= this.machine.entries) {
      this.entries = [];
      this.row('fullReset');
    }
    this.entries.push({ agent, page, frame, domain, prot });
  }

  private row(kind: Prediction['kind'], ...values: number[]): void {
    this.predictions.push({ kind, record: this.record, cause: kind === 'descriptor' ? this.cause : 'none', values });
  }
}

const ORDER_ALL = 52;

/** log2 of the smallest naturally aligned block that covers the pages. */
function coveringOrder(page: number, pages: number): number {
  let order = 0;
  while (Math.floor(page / 2 ** order) !== Math.floor((page + pages - 1) / 2 ** order)) order++;
  return order;
}

/** log2 of the largest naturally aligned block at `page` that holds no more than `pages`. */
function alignedOrder(page: number, pages: number): number {
  let order = 0;
  while (2 ** (order + 1) <= pages && page % 2 ** (order + 1) === 0) order++;
  return order;
}

/** Pages of a large page of a mapping: the largest that its addresses and its size allow (AMD's host tables take any). */
function largePage({ page, frame, pages }: Instance): number {
  return 2 ** Math.min(alignedOrder(page, pages), alignedOrder(frame, pages));
}

/** Both halves of the address of a page. */
function halves(page: number): [low: number, high: number] {
  return [(page % 2 ** 20) * 4096, Math.floor(page / 2 ** 20)];
}

/** Both halves of the address of 2^order pages in the ATS form, size bit included. */
function sized(page: number, order: number, flags: number): [low: number, high: number] {
  if (order >= ORDER_ALL) return [0xfffff000 + flags + 1, 0x7fffffff];
  const first = page - (page % 2 ** order);
  const [low, high] = halves(order === 0 ? page : first + 2 ** (order - 1) - 1);
  return [low + flags + (order === 0 ? 0 : 1), high];
}
