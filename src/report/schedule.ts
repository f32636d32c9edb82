import { UsageError } from '../model/errors.ts';
import {
  actionText,
  type ExplorationStep,
  type Replay,
  replayCommand,
  type StaleMark,
  staleMarks,
  stepsInWords,
} from '../model/exploration.ts';
import type { Format } from './grid.ts';
import { MAIL, wrap, wrapCommand } from './wrap.ts';

/** Marks in the column of a page: its old copies can be used; they must not be any more; they were. */
const MARKS = { open: '|', due: '!', used: 'X' } as const;
const LEGEND = `${MARKS.open} stale copies of the page can be used   ${MARKS.due} and must not be any more   ${MARKS.used} were used`;

/** The drawing under a line that says what it is of. */
function replayText(replay: Replay): string {
  return `${headOf(replay)}\n${wrap(replay.about, 100).join('\n')}\n\n${drawSchedule(replay)}`;
}

function headOf({
  race,
  policy,
  machine,
  property,
  steps,
}: Pick<Replay, keyof Told> & { readonly steps: readonly unknown[] }): string {
  const end = property === null ? 'no property breaks' : `${property} breaks in step ${steps.length}`;
  return `${race} under ${policy} on ${machine}: ${end}`;
}

/** What a schedule is of. */
type Told = Pick<Replay, 'race' | 'about' | 'policy' | 'machine' | 'files' | 'settings' | 'schedule' | 'property'>;

/** A schedule for a mail: a line a step, and the command that draws it. Code is indented, as Markdown wants it. */
export function mailSchedule(one: Told & { readonly steps: readonly ExplorationStep[] }): string {
  const { about, steps } = one;
  const agents = Math.max(...steps.map(({ agent }) => agent.length));
  const actions = Math.max(...steps.map(({ action }) => action.length));
  const pages = [...new Set(steps.flatMap(({ stale }) => Object.keys(stale)))];
  const line = (number: string, agent: string, action: string, right: readonly string[]): string =>
    `${number.padStart(3)}  ${agent.padEnd(agents)}  ${action.padEnd(actions)}  ${right.join(' ')}`;
  const rows = steps.map(({ agent, action, stale }, i) => {
    const marks = pages.map((page) => markOf(stale[page]).padEnd(page.length));
    return line(String(i + 1), agent, action, marks);
  });
  const legend = pages.length === 0 ? [] : LEGEND.split('   ');
  const code = [line('', '', '', pages), ...rows, ...legend, '', ...wrapCommand(replayCommand(one), MAIL - 4)];
  const indented = code.map((text) => `    ${text}`.trimEnd());
  return `${[...wrap(`${headOf(one)}. ${about}`, MAIL), '', ...indented].join('\n')}\n`;
}

/** A schedule that was replayed, for a screen or for a mail. */
export function drawing(replay: Replay, format: Format): string {
  if (format === 'md') return mailSchedule({ ...replay, steps: stepsInWords(replay) });
  if (format === 'table') return replayText(replay);
  throw new UsageError('--replay draws, expected --format table or md');
}

/**
 * A schedule as a drawing: time down, a column per agent, and to the right one per page that has stale copies in the
 * secondary MMU while they are there.
 */
export function drawSchedule(replay: Replay): string {
  const { agents, pages, steps, actions } = replay;
  const texts = steps.map((step) => actionText(step, replay, actions[step.agent] ?? []));
  const used = agents.filter((agent) => steps.some((step) => step.agent === agent));
  const widths = used.map((agent) =>
    Math.max(agent.length, ...steps.map((step, i) => (step.agent === agent ? texts[i]!.length : 0))),
  );
  const marks = staleMarks(replay);
  const shown = pages.map((name, page) => ({ name, page })).filter(({ page }) => marks.some((row) => row.has(page)));
  const line = (number: string, cells: readonly string[], right: readonly string[]): string => {
    const left = cells.map((cell, i) => cell.padEnd(widths[i]!)).join('  ');
    const stale = right.map((cell, i) => cell.padEnd(shown[i]!.name.length)).join(' ');
    return `${number.padStart(3)}  ${left}  ${stale}`.trimEnd();
  };
  const rows = steps.map((step, i) =>
    line(
      String(i + 1),
      used.map((agent) => (agent === step.agent ? texts[i]! : '')),
      shown.map(({ page }) => markOf(marks[i]!.get(page))),
    ),
  );
  const head = line(
    '',
    used,
    shown.map(({ name }) => name),
  );
  return `${[head, ...rows, ...(shown.length === 0 ? [] : [LEGEND])].join('\n')}\n`;
}

function markOf(mark: StaleMark | undefined): string {
  return mark === undefined ? '' : MARKS[mark];
}
