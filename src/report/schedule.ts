import { actionText, type Replay, type StaleMark, staleMarks } from '../model/exploration.ts';
import { wrap } from './wrap.ts';

/** Marks in the column of a page: its old copies can be used; they must not be any more; they were. */
const MARKS = { open: '|', due: '!', used: 'X' } as const;

/** The drawing under a line that says what it is of. */
export function replayText(replay: Replay): string {
  const { race, policy, machine, property, steps, about } = replay;
  const end = property === null ? 'no property breaks' : `${property} breaks in step ${steps.length}`;
  return `${race} under ${policy} on ${machine}: ${end}\n${wrap(about, 100).join('\n')}\n\n${drawSchedule(replay)}`;
}

/**
 * A schedule as a drawing: time down, a column per agent, and to the right one per page that has stale copies in the
 * secondary MMU while they are there.
 */
export function drawSchedule(replay: Replay): string {
  const { agents, pages, steps, actions } = replay;
  const texts = steps.map((step) => actionText(step, pages, actions[step.agent] ?? []));
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
  const legend =
    shown.length === 0
      ? ''
      : `${MARKS.open} stale copies of the page can be used   ${MARKS.due} and must not be any more   ${MARKS.used} were used\n`;
  return `${[head, ...rows].join('\n')}\n${legend}`;
}

function markOf(mark: StaleMark | undefined): string {
  return mark === undefined ? '' : MARKS[mark];
}
