import { MAX_VPN } from '../../model/limits.ts';
import { PROT } from '../../model/trace.ts';
import type { TraceWriter } from '../writer.ts';
import { ACCEPTED, type Fate, ignored, rejected } from './importer.ts';

/** Maps and unmaps of a kernel that prints neither domain nor device with them. */

/** A mapping as an event describes it. Page numbers. */
export interface Mapped {
  readonly page: number;
  readonly pages: number;
  readonly frame: number;
  /** PCI name of the device, where the event has it. */
  readonly device?: string | undefined;
  readonly prot?: number | undefined;
}

/** Where and when an event was. */
export interface At {
  readonly cpu: number;
  /** Picoseconds. */
  readonly time: number;
}

/** Mappings that were made together, and end together: the pieces of one scatter list. */
interface Group {
  readonly domain: number;
  readonly page: number;
  readonly pages: number;
  readonly pieces: readonly { readonly id: number; readonly pages: number }[];
  readonly prot: number | undefined;
  readonly device: string | undefined;
}

interface Domain {
  readonly space: number;
  /** First pages of live groups, ascending, and the groups. */
  readonly starts: number[];
  readonly groups: Group[];
}

/** Domains that are told apart. */
const MAX_DOMAINS = 64;
/** CPUs and devices: agents of one trace. */
const MAX_ACTORS = 128;
/** Pages of a mapping that a device is taken to have used. */
export const USED = 512;

const NOT_MAPPED = ignored('unmap of what was mapped before the recording began');
const NO_MAP = rejected('a map of pages below 2^57');
const PART = rejected('an unmap of whole mappings');
const CROWDED = rejected(`an event of the first ${MAX_ACTORS} CPUs and devices`);

/** Writes the maps and unmaps of one recording. */
export class DmaEvents {
  /** Domains whose mappings overlap, mappings whose unmap was lost, unmaps that several domains had, accesses put in. */
  overlaps = 0;
  lost = 0;
  ambiguous = 0;
  used = 0;
  /** Numbers of maps that ended together with the map before them. */
  readonly together = new Set<number>();
  private readonly domains: Domain[] = [];
  private readonly domainOf = new Map<string, number>();
  private readonly agents = new Map<string, number>();
  private readonly busy = new Map<number, number>();
  private held: { at: At; list: Mapped[] } | undefined;
  private instances = 0;
  /** Instances below this were mapped before events were lost. */
  private certain = 0;
  /** Maps so far; the number of the next. */
  private maps = 0;
  private hint: { readonly device: string; readonly page: number } | undefined;

  /** `joins`: numbers of maps that are pieces of the mapping before them, as an earlier reading found out. */
  constructor(
    private readonly out: TraceWriter,
    private readonly joins: ReadonlySet<number>,
  ) {}

  get count(): number {
    return this.domains.length;
  }

  /** A map. The pieces of a scatter list follow one another, and end together. */
  map(at: At, mapped: Mapped): Fate {
    const { page, pages, frame } = mapped;
    if (!(page + pages <= MAX_VPN && frame + pages <= MAX_VPN)) return NO_MAP;
    if (this.actor(`cpu${at.cpu}`, 'cpu') === undefined) return CROWDED;
    if (!this.joins.has(this.maps++)) this.settle();
    this.held ??= { at, list: [] };
    this.held.list.push(mapped);
    return ACCEPTED;
  }

  /** A driver's call that names the device and the direction of what was just mapped, or is unmapped next. */
  name(device: string, page: number, prot: number | undefined): void {
    const list = this.held?.list ?? [];
    const names = list.some((piece) => page >= piece.page && page < piece.page + piece.pages);
    if (names) {
      this.held!.list = list.map((piece) => ({ ...piece, device, prot: prot ?? piece.prot }));
      this.settle();
    } else this.hint = { device, page };
  }

  unmap(at: At, page: number, pages: number): Fate {
    this.settle();
    const cpu = this.actor(`cpu${at.cpu}`, 'cpu');
    if (cpu === undefined) return CROWDED;
    const owners = this.domains.filter((domain) => find(domain, page) >= 0);
    if (owners.length === 0) return NOT_MAPPED;
    const fitting = owners.filter((domain) => whole(domain, page, pages) !== undefined);
    if (fitting.length === 0) return PART;
    const owner = this.choose(fitting, page);
    let before: number | undefined;
    for (const group of whole(owner, page, pages)!) {
      remove(owner, group);
      const first = group.pieces[0]!.id;
      if (before !== undefined && first === before + 1) this.together.add(first);
      before = group.pieces.at(-1)!.id;
      this.end(group, cpu, at.time);
    }
    return ACCEPTED;
  }

  /** A translation that the IOMMU denied to a device. */
  deny(at: At, device: string, page: number, offset: number, write: boolean): Fate {
    this.settle();
    const domain = this.domains[this.domainOf.get(device) ?? 0] ?? this.addDomain();
    const agent = this.actor(device, 'device', domain.space);
    if (agent === undefined) return CROWDED;
    const index = find(domain, page);
    const now = at.time;
    if (index < 0) this.write(agent, 'dmaRaw', [domain.space, page, offset, Number(write)], now);
    else {
      const { pieces, page: first } = domain.groups[index]!;
      let [behind, piece] = [page - first, 0];
      while (behind >= pieces[piece]!.pages) behind -= pieces[piece++]!.pages;
      this.write(agent, 'dma', [pieces[piece]!.id, behind, offset, Number(write), 0], now);
    }
    return ACCEPTED;
  }

  /** Time on `cpu` that the recorded policy took: it is no think time of what follows. */
  passed({ cpu, time }: At): void {
    const agent = this.agents.get(`cpu${cpu}`);
    if (agent !== undefined) this.busy.set(agent, Math.max(this.busy.get(agent) ?? 0, time));
  }

  /** Events were lost: what was mapped so far may have been unmapped. */
  lose(): void {
    this.settle();
    this.certain = this.instances;
  }

  /** Writes the maps in hand: before anything else is written, and at the end. */
  settle(): void {
    const { held } = this;
    this.held = undefined;
    if (!held) return;
    const { at, list } = held;
    const { page, device, prot } = list[0]!;
    const pages = list.reduce((sum, piece) => sum + piece.pages, 0);
    const index = this.place(page, pages, device);
    const domain = this.domains[index]!;
    const cpu = this.agents.get(`cpu${at.cpu}`)!;
    const first = this.instances;
    this.instances += list.length;
    const pieces = list.map((piece, i) => ({ id: first + i, pages: piece.pages }));
    const allows = prot ?? PROT.read | PROT.write;
    list.forEach((piece, i) => {
      this.write(cpu, 'map', [domain.space, first + i, piece.pages, piece.frame, allows, piece.page, i && 1], at.time);
    });
    const slot = slotOf(domain.starts, page);
    domain.starts.splice(slot, 0, page);
    domain.groups.splice(slot, 0, { domain: index, page, pages, pieces, prot, device });
  }

  /** The domain of a new mapping: its device's; or the first in which its pages are free. */
  private place(page: number, pages: number, device: string | undefined): number {
    const own = device === undefined ? undefined : this.domainOf.get(device);
    let index = own ?? this.domains.findIndex((domain) => !overlaps(domain, page, pages));
    if (index < 0) {
      const stale = this.domains.findIndex((domain) => this.isStale(domain, page, pages));
      if (stale >= 0) index = stale;
      else if (this.domains.length < MAX_DOMAINS) {
        if (this.domains.length > 0) this.overlaps++;
        this.addDomain();
        index = this.domains.length - 1;
      } else index = 0;
    }
    this.forget(this.domains[index]!, page, pages);
    if (device !== undefined) this.domainOf.set(device, index);
    return index;
  }

  private choose(owners: readonly Domain[], page: number): Domain {
    const { hint } = this;
    this.hint = undefined;
    const device = hint?.page === page ? hint.device : undefined;
    const known = device === undefined ? undefined : this.domains[this.domainOf.get(device) ?? -1];
    if (known && owners.includes(known)) return known;
    if (owners.length > 1) this.ambiguous++;
    const newest = (domain: Domain): number => domain.groups[find(domain, page)]!.pieces[0]!.id;
    const owner = owners.reduce((best, domain) => (newest(domain) > newest(best) ? domain : best));
    if (device !== undefined && owners.length === 1) this.domainOf.set(device, this.domains.indexOf(owner));
    return owner;
  }

  /** Ends a group: its device has used it, then the driver unmaps it. */
  private end({ domain, pieces, prot, device }: Group, cpu: number, now: number): void {
    const { space } = this.domains[domain]!;
    const bound = [...this.domainOf].find(([, index]) => index === domain)?.[0];
    const agent = this.actor(device ?? bound ?? `device of domain ${domain}`, 'device', space);
    let accesses = 0;
    for (const { id, pages } of agent === undefined ? [] : pieces) {
      for (let page = 0; page < pages && accesses < USED; page++, accesses++)
        this.write(agent!, 'dma', [id, page, 0, Number(prot === PROT.write), 0], now);
    }
    this.used += accesses;
    this.write(cpu, 'unmap', [space, pieces[0]!.id, pieces.length, accesses], now);
  }

  private isStale(domain: Domain, page: number, pages: number): boolean {
    return within(domain, page, pages).every((group) => group.pieces[0]!.id < this.certain);
  }

  private forget(domain: Domain, page: number, pages: number): void {
    for (const group of within(domain, page, pages)) {
      this.lost++;
      remove(domain, group);
    }
  }

  private addDomain(): Domain {
    const space = this.out.space(`domain ${this.domains.length}`, 'domain');
    const domain = { space, starts: [], groups: [] };
    this.domains.push(domain);
    return domain;
  }

  /** The agent of a CPU or a device; undefined beyond the first `MAX_ACTORS`. */
  private actor(name: string, kind: 'cpu' | 'device', space?: number): number | undefined {
    let agent = this.agents.get(name);
    if (agent === undefined && this.agents.size < MAX_ACTORS) {
      const own = space ?? (this.domains[0] ?? this.addDomain()).space;
      agent = this.out.agent(name, kind, own);
      this.agents.set(name, agent);
    }
    return agent;
  }

  private write(agent: number, op: Parameters<TraceWriter['event']>[1], fields: number[], now: number): void {
    const since = this.busy.get(agent) ?? now;
    this.out.event(agent, op, fields, Math.max(0, now - since));
    this.busy.set(agent, Math.max(now, since));
  }
}

/** Index of the group that holds `page`, or -1. */
function find({ starts, groups }: Domain, page: number): number {
  const index = slotOf(starts, page + 1) - 1;
  return index >= 0 && page < starts[index]! + groups[index]!.pages ? index : -1;
}

/** How many starts are below `page`. */
function slotOf(starts: readonly number[], page: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! < page) low = middle + 1;
    else high = middle;
  }
  return low;
}

function overlaps(domain: Domain, page: number, pages: number): boolean {
  return within(domain, page, pages).length > 0;
}

/** The groups that make up the pages exactly, in order; undefined if none do. */
function whole(domain: Domain, page: number, pages: number): Group[] | undefined {
  const groups = within(domain, page, pages);
  let end = page;
  for (const group of groups) {
    if (group.page !== end) return undefined;
    end += group.pages;
  }
  return end === page + pages ? groups : undefined;
}

function remove({ starts, groups }: Domain, group: Group): void {
  const index = slotOf(starts, group.page);
  starts.splice(index, 1);
  groups.splice(index, 1);
}

/** Groups that hold any of the pages. */
function within(domain: Domain, page: number, pages: number): Group[] {
  const first = find(domain, page);
  const from = first >= 0 ? first : slotOf(domain.starts, page);
  const to = slotOf(domain.starts, page + pages);
  return domain.groups.slice(from, to);
}
