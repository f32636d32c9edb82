import type { Frame } from './frame.ts';

/** What is behind a page of the program; `huge`: a transparent huge page; `gone`: it has unmapped it. */
export type Kind = 'unknown' | 'anonymous' | 'huge' | 'file' | 'shared' | 'hugetlb' | 'gone';

/** A page-table entry. Nothing set: empty. */
export interface Pte {
  present: boolean;
  writable: boolean;
  accessed: boolean;
  dirty: boolean;
  /** The page is in swap. */
  swapped: boolean;
  /** It maps the shared zero page. */
  zero: boolean;
  /** MADV_FREE was said of it. */
  lazy: boolean;
  /** It maps a page of the page cache. */
  cached: boolean;
  /** Reclaim works on what was there. */
  busy: boolean;
  /** It was in memory before: a file page is read back. */
  seen: boolean;
  /** A child has been given the frame, too. */
  shared: boolean;
  /** KSM has put it there. */
  merged: boolean;
  /** SwapBacked and SwapCache of the page disagree. */
  mismatched: boolean;
  /** A guest does not use it. */
  unused: boolean;
  /** The page is broken. */
  poisoned: boolean;
  /** Nobody may use it before a fault, which finds the same page. */
  away: boolean;
  /** It is copied while nobody may use it: whoever faults waits. */
  locked: boolean;
}

export const EMPTY: Readonly<Pte> = {
  present: false,
  writable: false,
  accessed: false,
  dirty: false,
  swapped: false,
  zero: false,
  lazy: false,
  cached: false,
  busy: false,
  seen: false,
  shared: false,
  merged: false,
  mismatched: false,
  unused: false,
  poisoned: false,
  away: false,
  locked: false,
};

/** One page of the address space, and what is known about its old translations. */
export interface Page {
  readonly id: number;
  readonly vpn: number;
  /** log2 of the 4 KiB pages of its leaf. */
  readonly order: number;
  readonly table: Table;
  kind: Kind;
  /** The program may not write it. */
  readOnly: boolean;
  /** Used since reclaim last looked. */
  touched: boolean;
  pte: Pte;
  frame: Frame | null;
  /** The first CPU that used the present PTE, and its epoch then. */
  user: { readonly agent: number; readonly epoch: number } | null;
  /** The program has asked for a change of it and has no answer yet. */
  asked: boolean;
  /** Since when stale copies of it are in the IOMMU or the device. */
  window: { readonly opened: number; obliged: number | null; owed: readonly string[]; readonly met: Met } | null;
  /** Since when stale entries of it are in CPU TLBs; and what they may not be used for any more. */
  cpuWindow: { readonly opened: number; late: 'nothing' | 'write' | 'all'; readonly met: Met } | null;
}

/** Calls of the program under way that have come by the page while a window of it was open. */
type Met = Set<object>;

/** A leaf page table. */
export interface Table {
  readonly id: number;
  /** Page number of its first slot / 512. */
  readonly key: number;
  readonly pages: Page[];
  /** Whether the table above names it; freed: its page is somebody else's. */
  link: 'linked' | 'unlinked' | 'freed';
}

/** Whether the page and page numbers `first` .. `last` have one in common. */
export function meets({ vpn, order }: Page, first: number, last: number): boolean {
  return vpn <= last && vpn + 2 ** order > first;
}

/** Whether a walk finds it. */
export function isMapped({ present, away }: Readonly<Pte>): boolean {
  return present && !away;
}

/** Same entry, accessed and dirty bits apart: what pte_same() asks. */
export function samePte(a: Readonly<Pte>, b: Readonly<Pte>): boolean {
  const keys = Object.keys(EMPTY) as (keyof Pte)[];
  return keys.every((key) => key === 'accessed' || key === 'dirty' || a[key] === b[key]);
}
