/** One value of a JSON file that is not what it was; undefined where there was, or is, none. */
export interface Change {
  /** `runs[3].cost.work_ns` */
  readonly path: string;
  readonly old: unknown;
  readonly now: unknown;
}

/** Every leaf of two JSON values that differs, in the order of the old one, then what is new. */
export function changesOf(old: unknown, now: unknown): Change[] {
  const before = new Map(leaves(old, ''));
  const after = new Map(leaves(now, ''));
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].flatMap((path) =>
    Object.is(before.get(path), after.get(path)) ? [] : [{ path, old: before.get(path), now: after.get(path) }],
  );
}

function* leaves(value: unknown, path: string): Generator<[string, unknown]> {
  if (typeof value !== 'object' || value === null) {
    yield [path, value];
    return;
  }
  for (const [key, part] of Object.entries(value)) {
    const step = Array.isArray(value) ? `[${key}]` : path === '' ? key : `.${key}`;
    yield* leaves(part, path + step);
  }
}

/** Whether it is another result for unchanged input: a number or a verdict that was there before and is another now. */
export function isResult({ path, old, now }: Change): boolean {
  if (path === 'model' || path === 'format' || old === undefined || now === undefined) return false;
  return typeof old === 'number' || typeof now === 'number' || path.endsWith('.verdict');
}

/** `path: old -> new`, or for text `line 7: old -> new`. */
export function showChange({ path, old, now }: Change): string {
  const show = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));
  return `${path}: ${show(old)} -> ${show(now)}`;
}

/** Lines of two texts that differ, by their number. */
export function linesChanged(old: string, now: string): Change[] {
  const [before, after] = [old.split('\n'), now.split('\n')];
  return Array.from({ length: Math.max(before.length, after.length) }, (_, i) => i).flatMap((i) =>
    before[i] === after[i] ? [] : [{ path: `line ${i + 1}`, old: before[i], now: after[i] }],
  );
}
