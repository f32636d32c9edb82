import type { RawRun } from '../src/model/result.ts';

/** Every number of a run that can be above 0. */
export function numbersOf({ causes, counters, paths, distributions }: RawRun): [string, number][] {
  const ofPaths = Object.entries(paths).flatMap(([path, row]) =>
    Object.entries(row).map(([key, n]): [string, number] => [`${path}.${key}`, n]),
  );
  const ofDurations = Object.entries(distributions).map(([key, { sum }]): [string, number] => [`${key}.sum`, sum]);
  return [...Object.entries(causes), ...Object.entries(counters), ...ofPaths, ...ofDurations];
}

/** How often what must happen has happened in the runs of a test. */
export class Reached {
  private readonly times: Map<string, number>;

  constructor(must: readonly string[]) {
    this.times = new Map(must.map((what) => [what, 0]));
  }

  /** Takes in what a reference run reached, and all numbers of its result. */
  add({ reached, raw }: { readonly reached: Readonly<Record<string, number>>; readonly raw: RawRun }): void {
    for (const [what, times] of [...Object.entries(reached), ...numbersOf(raw)]) this.count(what, times);
  }

  count(what: string, times = 1): void {
    this.times.set(what, (this.times.get(what) ?? 0) + times);
  }

  /** What never happened, `except` left out. */
  missing(except: ReadonlySet<string>): string[] {
    return [...this.times].filter(([what, times]) => times === 0 && !except.has(what)).map(([what]) => what);
  }

  /** All counts, for the message of a failing test. */
  get text(): string {
    return JSON.stringify(Object.fromEntries(this.times));
  }
}
