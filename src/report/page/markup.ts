/** Text that is HTML or SVG already. Only the tag below makes it, so that no other string gets into a page unescaped. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What may stand in a template: text is escaped, markup is not, nothing stands for nothing. */
export type Piece = Markup | string | number | null | undefined | readonly Piece[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** What a script of the page reads: JSON in which no tag can begin. It does not run, so that no policy has to name it. */
export function data(value: unknown): Markup {
  const text = JSON.stringify(value, (_, item) => (typeof item === 'string' ? cleaned(item) : item));
  return new Markup(`<script type="application/json">${text.replaceAll('<', '\\u003c')}</script>`);
}

/** Controls, and characters that turn the direction of the text behind them: none belongs in a name. */
const STRANGE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** HTML from a template; attribute values have to be quoted. */
export function html(parts: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  return new Markup(parts.map((part, i) => part + (i < pieces.length ? textOf(pieces[i]) : '')).join(''));
}

function textOf(piece: Piece): string {
  if (piece === null || piece === undefined) return '';
  if (piece instanceof Markup) return piece.text;
  if (Array.isArray(piece)) return piece.map(textOf).join('');
  return cleaned(String(piece)).replace(/[&<>"']/g, (char) => ENTITIES[char]!);
}

function cleaned(text: string): string {
  return text.replace(STRANGE, (char) => (char === '\n' ? '\n' : '\ufffd'));
}
