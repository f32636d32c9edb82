/**
 * An invalidation policy: for every kernel path, the order of its steps. Pure data with two readers: the engine prices
 * a list, the explorer judges it. Unsafe orders are legal here; finding them is what the verdicts are for.
 */
import { UsageError } from './errors.ts';
import { nearText, quote } from './near.ts';
import { PATH_NAMES, PATHS, type PathInfo, type PathName } from './path.ts';

/** Steps of the kernel, in the vocabulary of step lists. */
export const STEPS = {
  RS: 'mmu_notifier range_start of the range',
  RE: 'range_end that invalidates nothing',
  'RE!': 'range_end that also invalidates the secondary MMU for the range',
  LK: 'take the page-table lock',
  UL: 'drop the page-table lock',
  PC: 'read and clear the PTEs',
  PS: 'set the PTEs, to what stands in parentheses',
  CF: 'flush the CPU TLBs and wait, other CPUs by IPI; ends what CFq recorded',
  CFq: 'record a CPU flush that a later CF makes (batched unmap)',
  CFp: 'if a CFq of the address space was recorded since the last CFp: flush the CPU TLBs, all of it (flush_tlb_batched_pending)',
  CFr: 'flush the CPU TLBs of the range that the call is for, whatever has been cleared in it (flush_tlb_range)',
  SI: 'invalidate the secondary MMU, IOTLB then device TLB, and wait; in braces for their pages, outside for the whole path',
  'SI*': 'the same for the whole address space (PASID)',
  SIp: 'the same as SI*, if the CFp before it has flushed',
  'SI?': 'the same for the whole path, if page tables have been taken out of the table above; leaf or not',
  IP: 'invalidate_page, up to Linux 4.12: the secondary MMU for the one page, unless the PTE was no longer what it was',
  CP: 'change_pte: one more secondary invalidation, on machines whose driver has it',
  RR: 'remove the mapping from rmap and mapcount',
  PP: 'put the reference of the mapping',
  PPc: 'put the reference of the caller',
  FREE: 'give back the pages whose last reference is put',
  PTFREE: 'give back page tables that have been taken out of the table above; FREE does, too',
  REL: 'the notifier is released: the IOMMU has no entry for the address space from here on, and denies what devices ask',
} as const;
export type StepWord = keyof typeof STEPS;

/**
 * Words that a list may hold for its readers; they take no time and change nothing. Those that read the content are the
 * instant from which a device write by an older translation is lost (S4); of a batch that is its one flush.
 */
export const NOTES = {
  'NEW?': 'from here on another thread may map a different page',
  IO: 'the page is written out: its content is read',
  COPY: 'the page is copied: its content is read',
  MERGE: 'the page is compared with others: its content is read',
  RET: 'the system call returns',
} as const;
export type NoteWord = keyof typeof NOTES;

/** Notes at which the content of the page is read. */
export const READS: ReadonlySet<NoteWord> = new Set(['IO', 'COPY', 'MERGE']);

/** What `PS(...)` makes of a PTE. */
export const PTE_STATES = {
  swp: 'a swap entry',
  none: 'empty',
  new: 'another page',
  ro: 'the same page with other permissions, write taken away',
  clean: 'the same page, accessed and dirty cleared',
  old: 'what it was before the clear',
  moved: 'empty, and the same page at the new address',
  mig: 'a migration entry: whoever faults on it waits for the next PS',
  hwp: 'an entry that says that the page is broken',
  numa: 'the same page, PROT_NONE: whoever faults on it gets it back',
  cache: 'empty; the page stays in the page cache, where whoever faults finds it',
} as const;
export type PteState = keyof typeof PTE_STATES;

/** One step. `at` is its number in the list, from 1, braces and brackets not counted. */
export interface Step {
  readonly kind: 'step';
  readonly word: StepWord;
  /** Of PS only. */
  readonly pte: PteState | null;
  /** In brackets: taken in a hold that ends because the gather is full. */
  readonly whenFull?: true;
  readonly at: number;
}

/** One word of documentation. */
export interface Note {
  readonly kind: 'note';
  readonly word: NoteWord;
  readonly at: number;
}

/**
 * `{ ... }`: once per lock hold on range paths, once per page on batch paths. Braces do not nest. In them `[ ... ]` are steps
 * of a full gather: the hold ends there, they are of all that is in the gather, and it is empty behind them.
 */
export interface Repeat {
  readonly kind: 'repeat';
  readonly body: readonly (Step | Note)[];
}

/** A step list and the text it was read from. */
export interface StepList {
  readonly text: string;
  /** Linux release in which the list was read; null if it is a what-if. */
  readonly kernel: string | null;
  /** File and function that make the steps, and the releases in which they were read; null if the file does not say. */
  readonly source: string | null;
  readonly items: readonly (Step | Note | Repeat)[];
}

export const FAMILIES = ['mm', 'dma'] as const;
/** mm: consumers of mmu_notifiers, which share a process's page table. dma: the DMA API. */
export type Family = (typeof FAMILIES)[number];

/** How page-table changes reach the secondary MMU. */
export interface MmHalf {
  /** Pages that an mmu_gather has room for. */
  readonly gather: number;
  readonly paths: Readonly<Record<PathName, StepList>>;
}

/** How dma_unmap invalidates. strict: before it returns. lazy: from a queue. never: no translation is ever taken away. */
export type DmaHalf = { readonly unmap: 'strict' } | LazyUnmap | { readonly unmap: 'never' };

/** A lazy unmap of the DMA API: when its flush queue is drained. */
export interface LazyUnmap {
  readonly unmap: 'lazy';
  /** Slots of the per-CPU ring; one stays empty, so `queueSize - 1` are usable. */
  readonly queueSize: number;
  /** From the first entry to the flush that the timer makes. */
  readonly timeoutMs: number;
  /** A ring per CPU, or one for all of them. */
  readonly queues: 'cpu' | 'single';
  /** What is flushed when a ring is full or old. domain: its domain. each-domain: all, one after the other (AMD, 2017);
   * global: all by one command, which frees what any CPU has queued (Intel, 2017); rings are for all domains then. */
  readonly flush: 'domain' | 'each-domain' | 'global';
}

/** An invalidation policy, checked. An absent half is `linux-6.6` or `strict`. */
export interface Policy {
  readonly name: string;
  /** One line. */
  readonly title: string;
  /** Kernel release and files, paper, or mail. */
  readonly source: string;
  readonly mm?: MmHalf;
  readonly dma?: DmaHalf;
}

/** A policy as its file has it, once the schema has passed it. */
export interface PolicySpec {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  readonly extends?: string;
  readonly kernel?: string;
  readonly mm?: {
    readonly gather?: number;
    readonly paths: Readonly<Partial<Record<string, string>>>;
    readonly sources?: Readonly<Partial<Record<string, string>>>;
  };
  readonly dma?: {
    readonly unmap: DmaHalf['unmap'];
    readonly queue_size?: number;
    readonly timeout_ms?: number;
    readonly queues?: LazyUnmap['queues'];
    readonly flush?: LazyUnmap['flush'];
  };
}

/** Pages of an mmu_gather: 8, and 19 batches of a page less its head (include/asm-generic/tlb.h MMU_GATHER_BUNDLE, MAX_GATHER_BATCH_COUNT; 4.13.4, 7.0). */
export const GATHER_PAGES = 8 + 19 * 510;
/** Steps of a full gather. */
const WHEN_FULL: ReadonlySet<string> = new Set(['CF', 'SI', 'SI*', 'FREE']);

/** Words of one step list; the engine's tables are this long. */
export const MAX_STEPS = 64;
const MAX_TEXT = 1000;
const WORDS: readonly string[] = [
  ...Object.keys(STEPS).filter((word) => word !== 'PS'),
  ...Object.keys(PTE_STATES).map((state) => `PS(${state})`),
  ...Object.keys(NOTES),
];

/** Families that a policy has a half for. */
export function familiesOf(policy: Policy): Family[] {
  return FAMILIES.filter((family) => policy[family] !== undefined);
}

/** The steps of a list in order, what is in braces once; notes, and what only a full gather needs, left out. */
export function flatSteps(list: StepList): Step[] {
  const words = list.items.flatMap((item) => (item.kind === 'repeat' ? item.body : [item]));
  return words.filter((item) => item.kind === 'step' && !item.whenFull) as Step[];
}

/** What a list does with the page-table lock held. */
export function heldSteps(list: StepList): Step[] {
  const steps = flatSteps(list);
  let held = false;
  return steps.filter(({ word }) => {
    if (word === 'LK' || word === 'UL') held = word === 'LK';
    return held && word !== 'LK';
  });
}

/** A step as it is written. */
export function stepText({ word, pte }: Step): string {
  return pte === null ? word : `${word}(${pte})`;
}

/**
 * Reads a step list such as `RS { LK PC RR UL } RE! CF SI FREE`. Refuses what has no meaning, such as a PTE changed
 * without the lock. `place` stands in errors: file and path.
 */
export function parseSteps(text: string, place: string, kernel: string | null = null): StepList {
  if (text.length > MAX_TEXT) throw new UsageError(`${place}: ${text.length} characters, expected at most ${MAX_TEXT}`);
  const items: (Step | Note | Repeat)[] = [];
  let body: (Step | Note)[] | null = null;
  const form = new Form(place);
  for (const word of text.match(/[{}[\]]|[^\s{}[\]]+/g) ?? []) {
    if (word === '[' || word === ']') {
      form.bracket(word);
    } else if (word === '{') {
      form.open();
      body = [];
    } else if (word === '}') {
      form.close(body?.length ?? 0);
      items.push({ kind: 'repeat', body: body! });
      body = null;
    } else {
      (body ?? items).push(form.take(word));
    }
  }
  form.end();
  return { text: text.replace(/[[\]]/g, ' $& ').trim().replace(/\s+/g, ' '), kernel, source: null, items };
}

/** What has been taken and opened so far in one list. */
class Form {
  private at = 0;
  /** Step that took the lock, 0 if it is free. */
  private lock = 0;
  /** Step that opened the notifier bracket, 0 if none is open; and the same at the last `{`. */
  private range = 0;
  private outer = 0;
  private inBraces = false;
  /** Step before the open bracket, -1 if none is open. */
  private full = -1;
  private unmapped = false;
  private freed = 0;

  constructor(private readonly place: string) {}

  take(text: string): Step | Note {
    const at = ++this.at;
    if (at > MAX_STEPS) throw new UsageError(`${this.place}: more than ${MAX_STEPS} steps`);
    if (this.full >= 0 && !WHEN_FULL.has(text)) this.fail(text, 'expected CF, SI, SI* or FREE in [ ]');
    if (Object.hasOwn(NOTES, text)) return { kind: 'note', word: text as NoteWord, at };
    const state = /^PS\(([^()]*)\)$/.exec(text)?.[1];
    const word = state === undefined ? text : 'PS';
    if (!WORDS.includes(text)) {
      if (word !== 'PS') this.fail(text, `is not a step${nearText(text, WORDS)}; steps are ${WORDS.join(' ')}`);
      this.fail(text, `expected what the PTE becomes, one of ${Object.keys(PTE_STATES).join(', ')}, as in PS(swp)`);
    }
    this.order(word as StepWord, text);
    const step: Step = { kind: 'step', word: word as StepWord, pte: (state as PteState) ?? null, at };
    return this.full < 0 ? step : { ...step, whenFull: true };
  }

  private order(word: StepWord, text: string): void {
    switch (word) {
      case 'LK':
        if (this.lock > 0) this.fail(text, `the lock is held since step ${this.lock}, expected UL first`);
        this.lock = this.at;
        return;
      case 'UL':
        if (this.lock === 0) this.fail(text, 'the lock is not held, expected LK first');
        this.lock = 0;
        return;
      case 'PC':
      case 'PS':
        if (this.lock === 0)
          this.fail(
            text,
            `a PTE is ${word === 'PC' ? 'cleared' : 'set'} outside the page-table lock, expected LK before and UL after it`,
          );
        return;
      case 'RS':
        if (this.range > 0)
          this.fail(text, `range_start of step ${this.range} is still open, expected RE or RE! first`);
        this.range = this.at;
        return;
      case 'RE':
      case 'RE!':
        if (this.range === 0) this.fail(text, 'there is no open range_start, expected RS first');
        this.range = 0;
        return;
      case 'RR':
        this.unmapped = true;
        return;
      case 'PP':
      case 'PPc':
        if (this.freed > 0)
          this.fail(text, `FREE of step ${this.freed} comes before this reference is put, expected it after`);
        return;
      case 'FREE':
        if (!this.unmapped)
          this.fail(text, 'the mapping is still there, expected the references put first: RR, then PP and PPc if any');
        this.freed = this.at;
        return;
      default:
        return;
    }
  }

  bracket(text: '[' | ']'): void {
    const opens = text === '[';
    if (!this.inBraces) this.fail(text, 'brackets are of lock holds, expected them inside { }');
    if (opens === this.full >= 0) this.fail(text, opens ? 'brackets do not nest, expected ] first' : 'closes no [');
    if (this.full === this.at) this.fail(text, 'the brackets are empty, expected steps of a full gather');
    this.full = opens ? this.at : -1;
  }

  open(): void {
    if (this.inBraces) this.fail('{', 'braces do not nest, expected } first');
    if (this.lock > 0)
      this.fail('{', `the lock is held since step ${this.lock}; braces repeat whole lock holds, expected UL first`);
    this.inBraces = true;
    this.outer = this.range;
  }

  close(words: number): void {
    if (!this.inBraces) this.fail('}', 'closes no {');
    if (this.full >= 0) this.fail('}', '[ is not closed, expected ] first');
    if (words === 0) this.fail('}', 'the braces are empty, expected steps to repeat');
    if (this.lock > 0)
      this.fail('}', `the lock is held since step ${this.lock}; braces repeat whole lock holds, expected UL first`);
    if (this.range !== this.outer) this.fail('}', 'RS and RE have to be both inside or both outside the braces');
    this.inBraces = false;
  }

  end(): void {
    if (this.at === 0) throw new UsageError(`${this.place}: the list is empty, expected steps such as LK PC CF UL`);
    if (this.inBraces) throw new UsageError(`${this.place}: { is not closed, expected } before the end`);
    if (this.lock > 0)
      throw new UsageError(`${this.place}: the list ends with the lock of step ${this.lock} held, expected UL`);
    if (this.range > 0) {
      throw new UsageError(
        `${this.place}: the list ends with range_start of step ${this.range} open, expected RE or RE!`,
      );
    }
  }

  private fail(text: string, why: string): never {
    const brace = '{}[]'.includes(text);
    throw new UsageError(
      `${this.place}: ${brace ? `after step ${this.at}` : `step ${this.at}`} ${quote(text)}: ${why}`,
    );
  }
}

/** Refuses a list that `path` cannot walk or that leaves out what the path is for. */
export function checkPath(list: StepList, path: PathName, place: string): void {
  const { kind, needs }: PathInfo = PATHS[path];
  const words = new Set(list.text.replace(/\[[^\]]*\]/g, '').split(' '));
  for (const need of needs) {
    if (!words.has(need)) throw new UsageError(`${place}: has no ${need}, expected one: ${PATHS[path].title}`);
  }
  // What the gather frees is unmapped, and no more than that.
  if (list.text.includes('[') && needs.join(' ') !== 'PC FREE')
    throw new UsageError(`${place}: has [ ], expected none: the path does not free its pages through an mmu_gather`);
  const single = flatSteps(list).find(({ word }) => word === 'IP' || word === 'CP');
  if (kind === 'range' && single !== undefined)
    throw new UsageError(`${place}: step ${single.at} "${single.word}": is of one page, and the path is of a range`);
  for (const item of list.items) {
    if (kind === 'batch' && item.kind === 'step' && (item.word === 'IP' || item.word === 'CP'))
      throw new UsageError(`${place}: step ${item.at} "${item.word}": is of one page, expected it inside { }`);
    if (kind === 'page' && item.kind === 'repeat')
      throw new UsageError(`${place}: has { }, expected none: the path is of one page`);
    if (kind !== 'page' && item.kind === 'step' && item.word === 'LK') {
      const per = kind === 'range' ? 'one lock hold per leaf page table' : 'one lock hold per page';
      throw new UsageError(`${place}: step ${item.at} "LK": the path makes ${per}, expected LK and UL inside { }`);
    }
  }
}

/** The halves of a policy, as far as a file and those that it extends say. */
export interface Halves {
  readonly lists?: Readonly<Partial<Record<PathName, StepList>>>;
  readonly gather?: number;
  readonly dma?: DmaHalf;
}

/** What a file says of its own, over what it extends. `place` is the file. */
export function halvesOf({ kernel, mm, dma }: PolicySpec, base: Halves, place: string): Halves {
  const own = Object.entries(mm?.paths ?? {}).map(([name, text]) => {
    if (!Object.hasOwn(PATHS, name)) {
      throw new UsageError(
        `${place}: mm.paths.${name}: no such path${nearText(name, PATH_NAMES)}; paths are ${PATH_NAMES.join(', ')}`,
      );
    }
    const at = `${place}: mm.paths.${name}`;
    const list = parseSteps(text!, at, kernel ?? null);
    checkPath(list, name as PathName, at);
    return [name, { ...list, source: mm?.sources?.[name] ?? null }] as const;
  });
  for (const name of Object.keys(mm?.sources ?? {})) {
    if (Object.hasOwn(mm!.paths, name)) continue;
    throw new UsageError(`${place}: mm.sources.${name}: is of no list of this file, expected paths that mm.paths has`);
  }
  const half = dma === undefined ? base.dma : dmaOf(dma, place);
  const gather = mm?.gather ?? base.gather;
  return {
    ...(mm === undefined && base.lists === undefined ? {} : { lists: { ...base.lists, ...Object.fromEntries(own) } }),
    ...(gather === undefined ? {} : { gather }),
    ...(half === undefined ? {} : { dma: half }),
  };
}

/** The policy of a file, whole: a half is absent, or has all that it needs. `place` is the file. */
export function policyOf(
  { name, title, source }: PolicySpec,
  { lists, gather = GATHER_PAGES, dma }: Halves,
  place: string,
): Policy {
  if (lists === undefined && dma === undefined)
    throw new UsageError(`${place}: has neither mm nor dma, expected at least one`);
  const missing = PATH_NAMES.find((path) => lists !== undefined && lists[path] === undefined);
  if (missing !== undefined)
    throw new UsageError(
      `${place}: mm.paths.${missing} is missing, expected a step list (or extends: a policy that has one)`,
    );
  return {
    name,
    title,
    source,
    ...(lists === undefined ? {} : { mm: { gather, paths: lists as Record<PathName, StepList> } }),
    ...(dma === undefined ? {} : { dma }),
  };
}

function dmaOf(dma: NonNullable<PolicySpec['dma']>, place: string): DmaHalf {
  const { unmap, queue_size: queueSize, timeout_ms: timeoutMs, queues = 'cpu', flush = 'domain' } = dma;
  if (unmap !== 'lazy') {
    const extra = Object.keys(dma).find((key) => key !== 'unmap');
    if (extra !== undefined) throw new UsageError(`${place}: dma.${extra} goes with unmap: lazy, read unmap: ${unmap}`);
    return { unmap };
  }
  if (queueSize === undefined)
    throw new UsageError(`${place}: dma.queue_size is missing, expected it with unmap: lazy`);
  if (timeoutMs === undefined)
    throw new UsageError(`${place}: dma.timeout_ms is missing, expected it with unmap: lazy`);
  return { unmap, queueSize, timeoutMs, queues, flush };
}
