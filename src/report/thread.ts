import { brief, type Judged, type Tried } from '../model/statement.ts';
import type { Grid } from './grid.ts';
import { wrap, wrapCommand } from './wrap.ts';

const TITLE =
  'What was said on linux-mm, 29 to 31 August 2017, about putting secondary invalidations off, and what explorations find.';

/** A row per trial, for programs. */
export function threadGrid(statements: readonly Judged[]): Grid {
  return {
    columns: ['statement', 'who', 'verdict', 'command', 'implies', 'found'],
    rows: statements.flatMap(({ says, who, verdict, trials }) =>
      trials.map((trial) => [says, who, verdict, trial.command, trial.implies, foundText(trial)]),
    ),
  };
}

/** The page for a screen. */
export function threadText(statements: readonly Judged[]): string {
  return page(statements, 100, (verdict) => verdict.toUpperCase());
}
/** The same in Markdown, for a mail. */
export function threadMarkdown(statements: readonly Judged[]): string {
  return page(statements, 76, (verdict) => `**${verdict}**`);
}

/** Each statement with its verdict, the commands that try it, and what they find. Code is indented, as Markdown wants it. */
function page(statements: readonly Judged[], width: number, mark: (verdict: string) => string): string {
  const blocks = statements.map(({ says, who, note, verdict, trials }, i) => {
    const lead = `${i + 1}. `.padEnd(4);
    const inner = width - lead.length;
    const parts = [
      wrap(`${says} (${who}): ${mark(verdict)}`, inner),
      ...trials.flatMap((trial) => [
        wrapCommand(trial.command, inner - 4).map((line) => `    ${line}`),
        wrap(foundText(trial), inner),
      ]),
      ...(note === '' ? [] : [wrap(note, inner)]),
    ];
    const lines = parts.flatMap((part, index) => (index === 0 ? part : ['', ...part]));
    return lines.map((line, row) => `${(row === 0 ? lead : '    ') + line}`.trimEnd()).join('\n');
  });
  return `${[wrap(TITLE, width).join('\n'), ...blocks].join('\n\n')}\n`;
}

/** What was found, and the cells where it is not what the statement implies. */
function foundText({ implies, found }: Tried): string {
  const other = found.filter((one) => brief(one) !== implies);
  if (other.length === 0) return `found: ${implies} in ${found.length} of ${found.length}`;
  const cells = other.map((one) => `${brief(one)} in ${one.race} under ${one.policy} on ${one.machine}`);
  return `found: not ${implies} but ${cells.join(', ')}`;
}
