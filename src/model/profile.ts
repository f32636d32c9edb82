/** What `inspect` finds in the records of a trace. All counts are exact. */
export interface TraceProfile {
  /** Pages by how many 4 KiB pages of their aligned 2 MiB are used: what huge pages would waste. */
  readonly blocks: Histogram;
  /** Reuse distances by kind of access; a first use has none. */
  readonly reuse: readonly Reuse[];
  /** Events that change translations, most frequent first. */
  readonly changes: readonly Change[];
  /** Pages of one DMA mapping. */
  readonly mappingPages: Histogram;
  readonly lifetimes: readonly Lifetimes[];
}

/** Counts by value, in ranges that double: 0, 1, 2..3, 4..7 and so on; index i holds values below 2^i. */
export type Histogram = readonly number[];

/** Distances of one kind of access, each agent's own; see `ReuseDistances`. */
export interface Reuse {
  readonly of: 'data' | 'fetch' | 'device';
  readonly accesses: number;
  /** Accesses to pages that the agent had not used before. */
  readonly first: number;
  readonly distances: Histogram;
}

/** One kind of change. */
export interface Change {
  readonly event: string;
  readonly count: number;
  /** Pages of their ranges, whether used or not. */
  readonly pages: number;
}

/** How long mappings last, from their creation to their end. */
export interface Lifetimes {
  readonly of: 'mmap' | 'map';
  /** CPU accesses of the trace meanwhile; nanoseconds of think time of the CPU; accesses of devices to it. */
  readonly unit: 'accesses' | 'ns' | 'device accesses';
  readonly ended: number;
  /** Those that the trace ends with, or whose begin or end is not known. */
  readonly open: number;
  readonly spans: Histogram;
}
