import type { Outcome } from './trace.ts';

/**
 * Order replay: the order of a recording's lines is the schedule. There is no clock; IOVAs and frames are the recorded
 * ones. What the machine did then is predicted, row by row, and compared with the recording by `verify` alone.
 */

/** The IOMMU as an emulator builds it: one translation cache by device and page, emptied when full. */
export interface OrderMachine {
  readonly name: string;
  readonly commands: 'vtd' | 'amdvi';
  /** Entries of the translation cache. */
  readonly entries: number;
  /** What a page invalidation drops: its block; all pages of the domain that agree with it in the low eight bits of the
   * page number above the block's; or the whole domain. */
  readonly drops: (typeof ORDER_DROPS)[number];
  /** Largest block of a VT-d page invalidation, log2 of pages; above it the whole domain is invalidated. */
  readonly maxOrder: number;
  /** Slots of the invalidation queue. */
  readonly slots: number;
  /** Slots of a flush queue's ring, one of which stays empty. */
  readonly queue: number;
}

export const ORDER_DROPS = ['block', 'low-byte', 'domain'] as const;

/** `recorded`: as the trace says, domain by domain. */
export const ORDER_POLICIES = ['recorded', 'strict', 'lazy'] as const;
export type OrderPolicy = (typeof ORDER_POLICIES)[number];

/** Why the driver submitted an invalidation. `none`: the row is no descriptor. */
export const ORDER_CAUSES = ['none', 'enable', 'attach', 'map', 'strict', 'queue-full', 'timer'] as const;
export type OrderCause = (typeof ORDER_CAUSES)[number];

/** What order replay says must happen at record `record`; fields as in `Outcome`, whose line is not known here. */
export interface Prediction extends Pick<Outcome, 'kind' | 'record' | 'values'> {
  readonly cause: OrderCause;
}

/** Kinds of rows that order replay predicts. */
export const PREDICTED = ['hit', 'fill', 'fault', 'descriptor', 'wait', 'iovaFree', 'fullReset'] as const;

/** VT-d fault reasons (specification, appendix A): context entry not present; no write, no read permission. */
export const FAULT_REASON = { context: 2, write: 5, read: 6 } as const;

/** Most maps and unmaps whose invalidation is held at once. */
export const MAX_HELD = 64;
