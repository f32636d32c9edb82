/** A result as JSON text: two spaces, a final newline, no NaN. */
export function renderJson(value: unknown): string {
  return `${JSON.stringify(value, (_, item) => (typeof item === 'number' && !Number.isFinite(item) ? null : item), 2)}\n`;
}
