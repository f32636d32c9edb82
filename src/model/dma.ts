import type { Costs } from './cost.ts';
import { UsageError } from './errors.ts';
import type { Machine } from './machine.ts';
import type { Policy } from './policy.ts';

/** Timed replay of a DMA recording: virtual time, IOVAs of the modelled allocator, the policy's own queues and timers. */

/** Whose a frame is when dma_unmap has returned: somebody else's at once, or the driver's for ever. */
export const REUSES = ['immediate', 'never'] as const;
export type Reuse = (typeof REUSES)[number];

/** Everything that decides the numbers of one run of a DMA recording, besides the trace. */
export interface DmaSetup {
  readonly policy: Policy;
  readonly machine: Machine;
  readonly costs: Costs;
  readonly seed: number;
  readonly reuse: Reuse;
  /** Recorded think time is multiplied by this; 0: everything as early as its edges allow. */
  readonly timeScale: number;
  /** Stale entries vanish at each unmap, in no time, and nothing is invalidated. */
  readonly ideal: boolean;
}

/** Records of one recording: the engine keeps all of them in memory. */
export const MAX_DMA_RECORDS = 1 << 20;
/** Pages that the mappings of one recording cover, all in all. */
export const MAX_DMA_PAGES = 1 << 22;

/** Factor of think time; 0: packed; nothing of nothing. */
export function parseTimeScale(text: string | undefined, time: 'packed' | undefined): number | undefined {
  if (time !== undefined && text !== undefined)
    throw new UsageError('--time packed and --time-scale exclude each other');
  if (time !== undefined) return 0;
  if (text === undefined) return undefined;
  if (!/^\d{1,4}(\.\d{1,6})?$/.test(text) || Number(text) === 0) {
    throw new UsageError(`--time-scale is "${text}", expected a number above 0 and below 10000, such as 0.5`);
  }
  return Number(text);
}

/** The machine, with what a drain of the policy's flush queue submits in place of `all`. */
export function drained({ machine, policy }: Pick<DmaSetup, 'machine' | 'policy'>): Machine {
  const dma = policy.dma!;
  if (dma.unmap !== 'lazy' || dma.flush !== 'global') return machine;
  const all = machine.driver.all.map((word) => (word === 'iotlb.domain' ? 'iotlb.global' : word));
  return { ...machine, driver: { ...machine.driver, all } };
}
