/** One comparison of the model with what was measured elsewhere: of numbers, or of a vector's two sides in words. */
export interface Check<Side extends number | string = number> {
  readonly name: string;
  /** `not-modelled`: stated, and counted neither as held nor as failed. */
  readonly kind: 'predicted' | 'fitted' | 'arithmetic' | 'not-modelled';
  /** What was recorded or published. */
  readonly expected: Side;
  /** What the model says; of things that are compared one by one, how many agree. */
  readonly got: Side;
  readonly tolerance: number;
  readonly holds: boolean;
}

/** Both sides of something that the model got wrong. */
export interface Mismatch {
  /** Line of the source: of the outcome itself, or of the last one before it. */
  readonly line: number;
  readonly recorded: string;
  readonly predicted: string;
}

/** How well order replay predicts a recording. */
export interface RecordingResult {
  readonly machine: string;
  readonly policy: string;
  /** The facts of the recording that went in, one sentence each. */
  readonly inferred: readonly string[];
  readonly checks: readonly Check[];
  readonly held: number;
  readonly failed: number;
  /** The first mismatches. */
  readonly mismatches: readonly Mismatch[];
  readonly mismatched: number;
}
