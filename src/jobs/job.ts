import type { TlbConfig, TlbResult } from '../model/tlb.ts';

/** One question about one trace. */
export type Job = { readonly kind: 'tlb'; readonly config: TlbConfig };

export type JobResult = { readonly kind: 'tlb'; readonly result: TlbResult };

/** What a worker is sent: one pass over a trace that feeds the engines of several jobs. */
export interface PassTask {
  readonly trace: string;
  /** Name of the trace in errors. */
  readonly name: string;
  readonly jobs: readonly Job[];
  /** i32[2]: records done (in thousands), and not 0 once the work is to stop. */
  readonly shared: SharedArrayBuffer;
}

/** What comes back. Errors travel as data: an Error that crosses threads loses its fields. */
export type PassReply =
  | { readonly ok: true; readonly results: readonly JobResult[] }
  | {
      readonly ok: false;
      readonly kind: 'trace' | 'usage' | 'interrupted' | 'bug';
      readonly place: string;
      readonly message: string;
    };
