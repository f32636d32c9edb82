import type { DmaSetup } from '../model/dma.ts';
import type { RawRun } from '../model/result.ts';
import type { RunSetup } from '../model/run.ts';
import type { TlbConfig, TlbResult } from '../model/tlb.ts';

/** One question about one trace: TLB statistics, a machine under a policy, a DMA recording under one. */
export type Job =
  | { readonly kind: 'tlb'; readonly config: TlbConfig }
  | { readonly kind: 'machine'; readonly setup: RunSetup }
  | { readonly kind: 'dma'; readonly setup: DmaSetup };

/** A question to the TLB loop. */
export type TlbJob = Extract<Job, { kind: 'tlb' }>;
/** A question to the machine. */
export type MachineJob = Extract<Job, { kind: 'machine' }>;

/** A question to the machine about a DMA recording. */
export type DmaJob = Extract<Job, { kind: 'dma' }>;

/** The answer to a job. */
export type ResultOf<J extends Job> = J extends TlbJob ? TlbResult : RawRun;

/** What a worker is sent: one pass over a trace that feeds the engines of several jobs. */
export interface PassTask {
  readonly trace: string;
  /** Name of the trace in errors. */
  readonly name: string;
  /** Only so many records are replayed; all if not given. */
  readonly records?: number | undefined;
  readonly jobs: readonly Job[];
  /** i32[2]: records done (in thousands), and not 0 once the work is to stop. */
  readonly shared: SharedArrayBuffer;
}
