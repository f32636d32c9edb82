/**
 * What a trace is: agents, spaces, records. The binary form is `trace/format.ts`, the text form `trace/text.ts`,
 * both described in traces/FORMAT.md.
 *
 * A record is either the start of an access run or an event. A run is a maximal sequence of accesses of one agent and
 * one kind (fetch or data) to one page; see `Run`.
 */

/** Starts of access runs. A modify is one write. */
export const RUN_OPS = ['fetch', 'read', 'write'] as const;

/** One field of an event: `d` is stored as the difference to the same field of the last event of that op. */
type Fields = readonly string[];

/**
 * Events and their fields, in the order of their codes. All fields are integers that a double holds
 * exactly. `space` is a space index; `first`/`end` are page numbers, half-open; `prot` is 1 read, 2 write, 4 execute.
 */
export const EVENTS = {
  /** The access runs that follow belong to `agent`. The only event that is not work. */
  switch: [],
  /** `flags`: 1 fixed (replaces what was mapped), 2 file, 4 shared, 8 hugetlbfs, 16 transparent huge pages. */
  mmap: ['space', 'first', 'end', 'prot', 'flags'],
  munmap: ['space', 'first', 'end'],
  /** The program break moved: the heap ended at page number `oldEnd` (half-open) and ends at `newEnd`. */
  brk: ['space', 'oldEnd', 'newEnd'],
  mremap: ['space', 'first', 'end', 'newFirst', 'newEnd'],
  mprotect: ['space', 'first', 'end', 'prot'],
  /** `advice`: 4 MADV_DONTNEED, 8 MADV_FREE (uapi/asm-generic/mman-common.h). */
  madvise: ['space', 'first', 'end', 'advice'],
  /** DMA mapping instance `instance` of `pages` pages from frame `frame` on; `iova` is the recorded page number.
   * `joined` 1: the instance lies behind the previous one in the same IOVA allocation (a scatter list). */
  map: ['space', 'instance', 'pages', 'frame', 'prot', 'iova', 'joined'],
  /** Ends instances `instance` .. `instance + instances - 1`; waits for their `accesses` recorded before it. */
  unmap: ['space', 'instance', 'instances', 'accesses'],
  /** One translation by a device: page `page` of `instance`. `after`: 0, or 1 + picoseconds since its unmap began. */
  dma: ['instance', 'page', 'offset', 'write', 'after'],
  /** A device access to an IOVA that no instance ever covered. */
  dmaRaw: ['space', 'iova', 'offset', 'write'],
  /** The agent, a device, translates through `space` from here on. `domain`: the id that the driver gave the space;
   * `source`: the device's bus << 8 | device << 3 | function; `ats` 1: it has a TLB of its own. */
  attach: ['space', 'domain', 'source', 'ats'],
  activate: ['space'],
  deactivate: ['space'],
  /** Edge: a `wait` for a token ends no earlier than the `signal` of that token plus `lag` picoseconds. */
  signal: ['token'],
  wait: ['token', 'lag'],
  /** The recorded flush-queue timer drained the queues of `space`: an input of order replay, ignored by timed replay. */
  timer: ['space'],
  /** A frame is given to, or taken from, an owner outside the trace (`--reuse trace`). */
  frameAlloc: ['frame', 'frames'],
  frameFree: ['frame', 'frames'],
  /** Nothing but think time. */
  idle: [],
  /** The recorded IOMMU is switched on: `kind` of `IOMMU_KINDS`; `caching` 1: it may cache what is not present, so that a
   * map is followed by an invalidation; `hint` 1: the driver sets the invalidation hint; `status`: address that the
   * driver's waits count from. This and the next three are inputs of order replay, ignored by timed replay. */
  iommu: ['kind', 'caching', 'hint', 'status'],
  /** Unmaps of `space` wait in the flush queue from here on; before, they are flushed at once. */
  lazy: ['space'],
  /** The invalidation of the agent's next map or unmap stands at the `submit` of `token`: other records lie between. */
  hold: ['token'],
  submit: ['token'],
  /** A child is forked that maps the range as well; an earlier child is gone by then. */
  fork: ['space', 'first', 'end'],
  /** The child is gone: what it alone still had is free. */
  reap: ['space'],
  /** Soft-dirty tracking begins anew (/proc/pid/clear_refs): the next write of each page has to be seen. */
  clearRefs: ['space', 'first', 'end'],
  /** Dirty pages of shared file mappings are written back. */
  writeback: ['space', 'first', 'end'],
  /** Breakpoints are put into pages of private file mappings (uprobes). */
  uprobe: ['space', 'first', 'end'],
  /** KSM finds the content of anonymous pages elsewhere, too, and merges them. */
  merge: ['space', 'first', 'end'],
  /** Pages are moved to other memory (compaction, move_pages). */
  migrate: ['space', 'first', 'end'],
  /** Memory fails: pages are taken away for ever. */
  poison: ['space', 'first', 'end'],
  /** PageSwapBacked and PageSwapCache of anonymous pages disagree, as only a fault of the kernel makes them. */
  mismatch: ['space', 'first', 'end'],
  /** A guest says that it does not use anonymous pages (s390 ESSA). */
  unused: ['space', 'first', 'end'],
  /** NUMA balancing makes pages PROT_NONE: the next access of each faults and gets it back. */
  numaHint: ['space', 'first', 'end'],
  /** Pages are moved to memory of a device by migrate_vma, the zero page is replaced. */
  migrateVma: ['space', 'first', 'end'],
  /** The huge pages of the range become pages of 4 KiB. */
  split: ['space', 'first', 'end'],
  /** khugepaged copies the pages of the range into huge ones. */
  collapse: ['space', 'first', 'end'],
  /** A page table of hugetlbfs that other processes have as well is given up. */
  unshare: ['space', 'first', 'end'],
  /** The process is gone, and all that it has mapped. */
  exit: ['space'],
  /** Of a scheduled trace, see `TraceSchedule`. All records before it have come to their ends, one after the other; those behind
   * it are the programs of the agents. */
  started: [],
  /** So many next steps are those of `of` in `TURNS_OF`; the agent's own, or whoever's they are. */
  turn: ['steps', 'of'],
  /** The agent reclaims pages, in one batch. */
  reclaim: ['space', 'first', 'end'],
  /** The first half of `merge`, and the second. */
  mergeProtect: ['space', 'first', 'end'],
  mergeReplace: ['space', 'first', 'end'],
  /** The PASID becomes that of the process that has the page; or is given back. */
  bind: ['space', 'first'],
  unbind: ['space'],
  /** The device asks for a translation in advance, and goes on. */
  prefetch: ['space', 'first'],
  /** NUMA hinting faults find huge pages on the wrong node: those that are PROT_NONE are copied to another. */
  numaMigrate: ['space', 'first', 'end'],
} as const satisfies Record<string, Fields>;

export type EventName = keyof typeof EVENTS;
export const EVENT_NAMES = Object.keys(EVENTS) as EventName[];

/** Address-space changes: the events that reach a kernel path in every trace. */
export const MM_EVENTS: ReadonlySet<EventName> = new Set([
  ...(['mmap', 'munmap', 'brk', 'mremap', 'mprotect', 'madvise'] as const),
  ...([
    'fork',
    'reap',
    'clearRefs',
    'writeback',
    'uprobe',
    'merge',
    'migrate',
    'poison',
    'mismatch',
    'unused',
    'numaHint',
    'numaMigrate',
    'migrateVma',
    'split',
    'collapse',
    'unshare',
    'exit',
  ] as const),
]);

/** Events of scheduled traces; others have none. */
export const SCHEDULED_EVENTS: ReadonlySet<EventName> = new Set([
  'started',
  'turn',
  'reclaim',
  'mergeProtect',
  'mergeReplace',
  'bind',
  'unbind',
  'prefetch',
]);
/**
 * Whose the steps of a `turn` are: the agent's, those of the IOMMU's command processor, of its link to devices; where a device asks in
 * advance, of an access that it does not wait for, and of the handler of page requests.
 */
export const TURNS_OF = ['agent', 'iommu', 'link', 'access', 'prq'] as const;

/** `kind` of an `iommu` event. */
export const IOMMU_KINDS = ['vtd', 'amdvi'] as const;

export const PROT = { read: 1, write: 2, exec: 4 } as const;
export const MAP_FLAG = { fixed: 1, file: 2, shared: 4, hugetlb: 8, huge: 16 } as const;
export const ADVICE = { dontneed: 4, free: 8 } as const;

/** One event of an agent. `gap`: think time before it in picoseconds, 0 where the source has no stamps. */
export interface TraceEvent {
  readonly op: EventName;
  readonly agent: number;
  readonly gap: number;
  /** In the order of `EVENTS[op]`. */
  readonly fields: readonly number[];
}

/**
 * The start of an access run, in the order of starts. From this record to the agent's next one, itself included, the
 * agent makes `fetches` instruction fetches and `datas` data accesses; they continue the agent's open fetch run and
 * open data run. Counts of a run are sums over records, so a writer holds one record only.
 */
export interface Run {
  readonly op: (typeof RUN_OPS)[number];
  /** Dense page id, see `TracePage`. */
  readonly page: number;
  /** Second half of an access that crosses a 4 KiB boundary; always a run of one access. */
  readonly straddle: boolean;
  readonly fetches: number;
  readonly datas: number;
}

/** A page id is the position of its page in the order of first use. */
export interface TracePage {
  readonly space: number;
  readonly vpn: number;
}

/** Whoever makes accesses and events; agents are numbered from 0 in order. */
export interface TraceAgent {
  readonly name: string;
  readonly kind: 'cpu' | 'device';
  /** The space of its accesses. */
  readonly space: number;
}

/** Names of the CPUs that run the program: all that were recorded, but for kswapd in a scheduled trace. */
export function programCpus({ agents, schedule }: Pick<TraceMeta, 'agents' | 'schedule'>): string[] {
  const cpus = agents.flatMap(({ name, kind }) => (kind === 'cpu' ? [name] : []));
  return schedule === undefined ? cpus : cpus.filter((name) => name !== 'kswapd');
}

/** One translation context; spaces are numbered from 0 in order. */
export interface TraceSpace {
  readonly name: string;
  readonly kind: 'mm' | 'domain';
}

/** Of a scheduled trace: its `turn` events say who takes the next step, as a race's schedule does; see traces/FORMAT.md. */
export interface TraceSchedule {
  /** Entries of each TLB: what a schedule does hangs on what has been evicted. */
  readonly entries: number;
  /** Others can come between a walk and the fill of a cache with what it has read; absent if not. */
  readonly walk?: 'split';
}

/** Where a trace comes from, in words. */
export interface TraceSource {
  /** Importer or generator. */
  readonly format: string;
  /** Base name of the file it was made from. */
  readonly file: string;
}

/** Lines of the source: accepted + rejected + ignored = read, always. */
export interface ImportTally {
  readonly lines: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly ignored: number;
  /** Why lines were ignored, by rule, with counts. */
  readonly rules: Readonly<Record<string, number>>;
  /** What was expected where lines were rejected; absent if none were. */
  readonly rejections?: Readonly<Record<string, Rejection>>;
}

/** Of what was made and not read. */
export const NO_TALLY: ImportTally = { lines: 0, accepted: 0, rejected: 0, ignored: 0, rules: {} };

/** Rejected lines of one kind. Their text is not kept: it may hold secrets. */
export interface Rejection {
  readonly lines: number;
  /** Number of the first. */
  readonly first: number;
}

/** Totals of a trace. */
export interface TraceCounts {
  readonly records: number;
  readonly fetches: number;
  readonly datas: number;
  /** Second halves among them, of fetches and of data accesses. */
  readonly straddledFetches: number;
  readonly straddledDatas: number;
  readonly events: number;
  readonly pages: number;
  /** Leaf page tables that hold at least one page: distinct `vpn >> 9` per space, summed over spaces. */
  readonly tables: number;
  readonly mmOps: number;
  readonly maps: number;
  readonly unmaps: number;
  readonly dma: number;
  /** Largest instance id + 1. */
  readonly instances: number;
}

/** Of a trace of nothing. */
export const NO_COUNTS: TraceCounts = {
  records: 0,
  fetches: 0,
  datas: 0,
  straddledFetches: 0,
  straddledDatas: 0,
  events: 0,
  pages: 0,
  tables: 0,
  mmOps: 0,
  maps: 0,
  unmaps: 0,
  dma: 0,
  instances: 0,
};

/** What stands at the end of a trace file. */
export interface TraceMeta {
  readonly format: 1;
  readonly source: TraceSource;
  readonly agents: readonly TraceAgent[];
  readonly spaces: readonly TraceSpace[];
  readonly counts: TraceCounts;
  readonly tally: ImportTally;
  /** Runs keep the exact interleaving of fetches and data accesses: every access is a record of its own. */
  readonly interleaved: boolean;
  /** Of a scheduled trace; absent in others. */
  readonly schedule?: TraceSchedule;
  /** Assumptions the importer made, one sentence each. */
  readonly inferred: readonly string[];
}

/** A recorded outcome: what the real machine did at record `record`. Only `verify` reads these. */
export const OUTCOMES = ['hit', 'fill', 'fault', 'descriptor', 'wait', 'iovaFree', 'fullReset', 'rangeEvent'] as const;
export type OutcomeKind = (typeof OUTCOMES)[number];

/** One recorded outcome. */
export interface Outcome {
  readonly kind: OutcomeKind;
  /** Index of the trace record that was the last one written before it, -1 before the first. */
  readonly record: number;
  /** Line of the source. */
  readonly line: number;
  /** hit, fill: frame, then what the recording has of domain id and permission (`PROT`). fault: reason (0 where there is
   * none), page number. descriptor: type, then low 32 bits and high 32 bits of each word as far as they are recorded.
   * wait: nothing. iovaFree: page number, pages, space. fullReset: nothing. */
  readonly values: readonly number[];
}
