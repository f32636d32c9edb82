const COLOURS = { safe: '\x1b[32m', exposed: '\x1b[33m', unsafe: '\x1b[1;31m' } as const;

/** The verdicts of a comparison's text in colour, where they end or begin a line. The words stay what they are. */
export function colourVerdicts(text: string): string {
  return text.replace(
    /^(safe|exposed|unsafe)(?= )|(?<= )(safe|exposed|unsafe)$/gm,
    (word) => `${COLOURS[word as keyof typeof COLOURS]}${word}\x1b[0m`,
  );
}
