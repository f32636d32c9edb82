/** A stretch of one run, event by event: what a timeline is drawn from. */
import { UsageError } from './errors.ts';
import type { LogEvent } from './log.ts';
import { quote } from './near.ts';
import { PS_PER_NS } from './units.ts';

/** What an agent is: on which track it is drawn. */
export type AgentKind = 'cpu' | 'iommu' | 'link' | 'timer' | 'device' | 'access';

/** One of the engine's agents. An access is a place in flight of the device of that name. */
export interface TimelineAgent {
  readonly name: string;
  readonly kind: AgentKind;
}

/** Events of a run between two instants of virtual time, in picoseconds. */
export interface Timeline {
  readonly trace: string;
  readonly policy: string;
  readonly machine: string;
  readonly model: number;
  readonly from: number;
  readonly to: number;
  /** Why this stretch. */
  readonly why: string;
  /** By the engine's number. */
  readonly agents: readonly TimelineAgent[];
  readonly events: readonly LogEvent[];
  /** Page number of a page id. */
  readonly pages: ReadonlyMap<number, number>;
}

/** Events that a stretch can be laid around, in words. */
export const LANDMARKS = {
  broken: 'a property breaks',
  due: 'an old copy should be gone and is not',
  stale: 'a device access lands by an old entry',
  window: 'a page gets its first old copy',
} as const;
export type Landmark = keyof typeof LANDMARKS;

/** Which stretch: between instants in picoseconds, or around the nth event of a kind; nothing given: the first that is worth it. */
export interface Stretch {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly around?: { readonly landmark: Landmark; readonly nth: number } | undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: PS_PER_NS,
  us: 1e3 * PS_PER_NS,
  ms: 1e6 * PS_PER_NS,
  s: 1e9 * PS_PER_NS,
};

/** `--from TIME --to TIME`, or `--around EVENT[:N]`. */
export function parseStretch({ from, to, around }: { from?: string; to?: string; around?: string }): Stretch {
  if (around !== undefined && (from !== undefined || to !== undefined))
    throw new UsageError('--around chooses the stretch, expected no --from and no --to beside it');
  const stretch = { from: instant(from, '--from'), to: instant(to, '--to'), around: landmark(around) };
  if (stretch.from !== undefined && stretch.to !== undefined && stretch.from >= stretch.to)
    throw new UsageError(`--from ${from} is not before --to ${to}`);
  return stretch;
}

function instant(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,6}(?:\.\d{1,9})?)(ns|us|ms|s)$/.exec(text);
  if (match === null) throw new UsageError(`${option} is ${quote(text)}, expected a time of the run such as 12.5ms`);
  return Math.round(Number(match[1]) * UNITS[match[2]!]!);
}

function landmark(text: string | undefined): Stretch['around'] {
  if (text === undefined) return undefined;
  const match = /^([a-z]+)(?::([1-9]\d{0,8}))?$/.exec(text);
  if (match === null || !Object.hasOwn(LANDMARKS, match[1]!))
    throw new UsageError(
      `--around is ${quote(text)}, expected ${Object.keys(LANDMARKS).join(', ')}, or which of them: broken:3`,
    );
  return { landmark: match[1] as Landmark, nth: Number(match[2] ?? 1) };
}

/** Where a landmark stands in a run: of which page, and how long that page's window was open. */
export interface Found {
  readonly landmark: Landmark;
  readonly nth: number;
  readonly page: number | null;
  readonly at: number;
  readonly opened: number;
  /** Null while the window is open. */
  readonly closed: number | null;
}

/** Looks for landmarks while events go by. */
export class Search {
  private readonly open = new Map<number, number>();
  private readonly seen = new Map<Landmark, number>();
  private readonly found = new Map<Landmark, Found>();

  constructor(private readonly around: Stretch['around']) {}

  /** Sees the next event. */
  see(event: LogEvent): void {
    const { kind, what, page, at } = event;
    if (kind === 'window' && page !== null) {
      if (what === 'opens') this.open.set(page, at);
      else this.close(page, at);
    }
    const landmark = landmarkOf(event);
    if (landmark === undefined) return;
    const nth = (this.seen.get(landmark) ?? 0) + 1;
    this.seen.set(landmark, nth);
    if (nth !== (this.around?.landmark === landmark ? this.around.nth : 1) || this.found.has(landmark)) return;
    const opened = page === null ? at : (this.open.get(page) ?? at);
    this.found.set(landmark, {
      landmark,
      nth,
      page,
      at,
      opened,
      closed: page !== null && this.open.has(page) ? null : at,
    });
  }

  private close(page: number, at: number): void {
    this.open.delete(page);
    for (const [landmark, found] of this.found)
      if (found.page === page && found.closed === null) this.found.set(landmark, { ...found, closed: at });
  }

  /** What was looked for, or, if nothing in particular was, the gravest that there is. */
  result(): Found | undefined {
    const landmarks = Object.keys(LANDMARKS) as Landmark[];
    return this.around
      ? this.found.get(this.around.landmark)
      : landmarks.map((one) => this.found.get(one)).find((one) => one);
  }

  /** Whether nothing that is still to come can change the result. */
  isOver(): boolean {
    const found = this.around ? this.result() : this.found.get('broken');
    return found !== undefined && found.closed !== null;
  }
}

function landmarkOf({ kind, what }: LogEvent): Landmark | undefined {
  if (kind === 'broken' || kind === 'due') return kind;
  if (kind === 'window') return what === 'opens' ? 'window' : undefined;
  return kind === 'device' && what === 'lands by old entry' ? 'stale' : undefined;
}
