/** Edit distance: insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/** Words longer than this are nobody's slip of the finger. */
const MAX_WORD = 80;

/** The known words that `word` may have been meant to be, nearest first, at most three. */
export function nearWords(word: string, known: readonly string[]): string[] {
  if (word.length > MAX_WORD) return [];
  const from = word.toLowerCase();
  const limit = Math.max(2, Math.floor(word.length / 3));
  return known
    .map((name) => {
      const to = name.toLowerCase();
      const inside = from.length >= 3 && (to.includes(from) || from.includes(to)) ? 1 : Number.POSITIVE_INFINITY;
      return { name, far: Math.min(distance(from, to), inside) };
    })
    .filter(({ name, far }) => far <= limit && far < Math.max(2, name.length))
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ name }) => name);
}

/** `; near: a, b`, or nothing. */
export function nearText(word: string, known: readonly string[]): string {
  const names = nearWords(word, known);
  return names.length > 0 ? `; near: ${names.join(', ')}` : '';
}

/** What was read, for a message: one line, quoted, at most 60 characters. */
export function quote(read: unknown): string {
  const text = typeof read === 'number' || typeof read === 'bigint' ? String(read) : JSON.stringify(read);
  if (text === undefined) return 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
