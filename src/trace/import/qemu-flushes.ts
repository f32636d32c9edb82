/** Whose each recorded flush is: of a map, of an unmap, of a full flush queue, or of the queue's timer. */

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

/** Anything that decides whose a flush is. `tick` counts records of the trace. */
export type Mark =
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

/** What is known of the stream before its flushes are settled. */
export interface Stream {
  readonly marks: readonly Mark[];
  readonly operations: readonly Operation[];
  /** Domain id of the driver, by domain. */
  readonly domains: readonly { readonly did: number | undefined }[];
  /** Domain by the kernel's pointer to its IOVA domain. */
  readonly iovads: ReadonlyMap<string, number>;
  readonly amd: boolean;
}

/** Whose each invalidation of a recording is. */
export interface Flushes {
  /** Caching mode, or NpCache: a map is followed by an invalidation of its own. */
  readonly caching: boolean;
  /** By domain: the first unmap that waits in the flush queue. */
  readonly lazyFrom: readonly (Operation | undefined)[];
  /** By line: operation whose invalidation is submitted there, though other records lie between. */
  readonly submits: ReadonlyMap<number, Operation>;
  /** By line of the descriptor: domain whose flush-queue timer fired. */
  readonly timers: ReadonlyMap<number, number>;
}

/** Operations that interrupts may leave unfinished at once. */
const NESTED = 8;

type Flush = Extract<Mark, { kind: 'flush' }>;

/** Whose each flush is; sets `flushes` and `held` of operations. */
export function settleFlushes(stream: Stream): Flushes {
  const caching = isCaching(stream);
  const lazyFrom = stream.domains.map((_, domain) => firstQueued(stream, domain));
  const settler = new Settler(stream, caching, lazyFrom);
  stream.marks.forEach((mark, i) => {
    settler.read(mark, i);
  });
  return { caching, lazyFrom, submits: settler.submits, timers: settler.timers };
}

/** Whether most maps are followed by a flush; pieces of scatter lists do not count, they are flushed as one. */
function isCaching({ marks, domains, amd }: Stream): boolean {
  let maps = 0;
  let flushed = 0;
  marks.forEach((mark, i) => {
    if (mark.kind !== 'operation' || mark.operation.unmap || mark.operation.joined) return;
    const { did } = domains[mark.operation.domain]!;
    const next = marks[i + 1];
    if (did === undefined || (next?.kind === 'operation' && next.operation.joined)) return;
    maps++;
    if (next?.kind === 'flush' && next.did === did && (amd || next.page === mark.operation.page)) flushed++;
  });
  return flushed * 2 > maps;
}

/** First unmap of a domain that had not been given back at the first flush of its flush queue. */
function firstQueued({ marks, operations, domains, iovads, amd }: Stream, domain: number): Operation | undefined {
  const first = marks.find((mark) => {
    if (mark.kind === 'queue') return iovads.get(mark.iovad) === domain;
    // Only a flush queue makes VT-d's driver invalidate a whole domain, but for its attachment.
    const whole = mark.kind === 'flush' && !amd && mark.page === -1 && mark.attaches === undefined;
    return whole && mark.did === domains[domain]!.did;
  });
  if (!first) return undefined;
  return operations.find((o) => o.unmap && !o.rejected && o.domain === domain && !(o.freed < first.line));
}

/** Goes through the marks once, with the operations in hand that interrupts have left unfinished. */
class Settler {
  readonly submits = new Map<number, Operation>();
  readonly timers = new Map<number, number>();
  private readonly ticks = new Map<Operation, number>();
  /** Domains whose next flush is their queue's: the kernel has just entered fq_flush_iotlb. */
  private readonly queueFlushing = new Set<number>();
  private pending: Operation[] = [];
  private last: Operation | undefined;
  private lastTimer = 0;

  constructor(
    private readonly stream: Stream,
    private readonly caching: boolean,
    private readonly lazyFrom: readonly (Operation | undefined)[],
  ) {}

  read(mark: Mark, index: number): void {
    if (mark.kind === 'queue') this.queueFlushing.add(this.stream.iovads.get(mark.iovad) ?? -1);
    else if (mark.kind === 'operation') this.begin(mark.operation, mark.tick);
    else if (mark.attaches === undefined) this.flush(mark, index);
  }

  private begin(operation: Operation, tick: number): void {
    const lazy = this.lazyFrom[operation.domain];
    const attached = this.stream.domains[operation.domain]!.did !== undefined;
    const strict = !lazy || operation.line < lazy.line;
    // The pieces of a scatter list are flushed as one, behind the last (iommu_map_sg).
    operation.flushes = operation.unmap ? strict : this.caching && attached && !operation.joined;
    this.ticks.set(operation, tick);
    this.last = operation;
    if (operation.flushes) this.pending = [...this.pending, operation].slice(-NESTED);
  }

  private flush(mark: Flush, index: number): void {
    const { amd, domains } = this.stream;
    const domain = domains.findIndex(({ did }) => did === mark.did);
    if (domain < 0) return;
    const own = this.unfinished(mark, domain);
    if (own && (amd || mark.page >= 0)) {
      this.pending = this.pending.filter((operation) => operation !== own);
      this.submit(own, mark);
      return;
    }
    const lazy = this.lazyFrom[domain];
    if (mark.page >= 0 || !lazy || mark.line < lazy.line) return;
    if (this.isFull(domain, index)) {
      this.submit(this.last!, mark);
      this.last = undefined;
    } else {
      this.timers.set(mark.line, domain);
      this.lastTimer = mark.line;
    }
  }

  /** The innermost unfinished operation that the flush fits: interrupts nest. */
  private unfinished(mark: Flush, domain: number): Operation | undefined {
    const { amd } = this.stream;
    if (amd && this.queueFlushing.delete(domain)) return undefined;
    return this.pending.findLast((o) => o.domain === domain && o.freed > mark.line && (amd || o.page === mark.page));
  }

  /**
   * Whether a queue's flush is that of the unmap just before it, which found the queue full, and not the timer's. They
   * differ in one thing: such an unmap joins the queue only afterwards, so that this flush does not give its own IOVA
   * back (Linux 6.1 drivers/iommu/dma-iommu.c queue_iova). No model is needed to tell; that the queue was full there, and
   * nowhere else, is for the replay to find out.
   */
  private isFull(domain: number, index: number): boolean {
    const { last } = this;
    const { marks } = this.stream;
    let next = index + 1;
    while (marks[next]?.kind === 'queue') next++;
    const until = marks[next]?.line ?? Number.POSITIVE_INFINITY;
    return last?.unmap === true && last.domain === domain && !last.flushes && last.freed > until;
  }

  private submit(operation: Operation, mark: Flush): void {
    operation.held = this.ticks.get(operation) !== mark.tick || this.lastTimer > operation.line;
    if (operation.held) this.submits.set(mark.line, operation);
  }
}
