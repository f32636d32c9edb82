/** What an exploration of a race says. Keys are those of the JSON result. */
import { shellWord } from './command.ts';
import type { LogEvent } from './log.ts';
import type { RaceFamily } from './race.ts';

/** `holds`: no schedule breaks a property. `bounded`: there were more states than are kept, so that nothing is said. */
export type RaceVerdict = 'holds' | 'broken' | 'bounded';

/** Of race, policy and machine those that are files, as the request named them. */
export type FilesGiven = Readonly<Partial<Record<'race' | 'policy' | 'machine', string>>>;

/** A race under a policy on a machine. */
export interface Exploration {
  readonly race: string;
  /** What the race is about. */
  readonly about: string;
  readonly policy: string;
  readonly machine: string;
  /** Absent if none was a file. */
  readonly files?: FilesGiven;
  /** What was changed about the two, for --set; absent if nothing was. */
  readonly settings?: readonly string[];
  readonly verdict: RaceVerdict;
  /** The property that broke. */
  readonly property: string | null;
  /** Within which the verdict stands: entries of each TLB in the searches made, and states and steps at most. */
  readonly bounds: { readonly entries: readonly number[]; readonly states: number; readonly steps: number };
  /** States seen in all searches. */
  readonly states: number;
  /** Of a shortest schedule that breaks it, for --replay; empty where it holds. */
  readonly schedule: string;
  readonly steps: readonly ExplorationStep[];
}

/** What becomes of the stale copies of a page: they can be used; they must not be any more; they were. */
export type StaleMark = 'open' | 'due' | 'used';

/** One step of the shortest schedule, in words. `stale`: pages that have stale copies in the secondary MMU, by name. */
export interface ExplorationStep {
  readonly agent: string;
  readonly action: string;
  readonly stale: Readonly<Record<string, StaleMark>>;
}

/** Races that were asked for and not explored: no policy or no machine that was named is of their family. */
export interface RacesLeftOut {
  readonly family: RaceFamily;
  readonly races: readonly string[];
}

/** The result JSON of `explore`. */
export interface ExplorationResult {
  readonly format: 1;
  readonly model: number;
  readonly tool: { readonly name: string; readonly version: string };
  readonly races: readonly Exploration[];
  /** Absent if all have been explored. */
  readonly left_out?: readonly RacesLeftOut[];
}

/** One step of a schedule and what happened in it. */
export interface ScheduleStep {
  /** Column of the drawing: an agent of the race, `iommu`, or `link`, which carries ATS requests. */
  readonly agent: string;
  readonly events: readonly LogEvent[];
}

/** A schedule, replayed. */
export interface Replay {
  readonly race: string;
  readonly about: string;
  readonly policy: string;
  readonly machine: string;
  readonly files?: FilesGiven;
  readonly settings?: readonly string[];
  readonly schedule: string;
  /** Columns in the order of the race, `iommu` and `link` last. */
  readonly agents: readonly string[];
  /** Texts of the actions of each agent of the race. */
  readonly actions: Readonly<Record<string, readonly string[]>>;
  /** Names of pages by page id. */
  readonly pages: readonly string[];
  /** Names of buffers of the DMA API, in their order. */
  readonly buffers: readonly string[];
  readonly steps: readonly ScheduleStep[];
  /** The property that broke in the last step, or null. */
  readonly property: string | null;
}

/** What a step of a list does, in a few words. */
export const STEP_PHRASES: Readonly<Record<string, string>> = {
  END: 'returns',
  LK: 'takes the PTL',
  UL: 'drops the PTL',
  PC: 'clears the PTE',
  'PS(swp)': 'sets a swap entry',
  'PS(none)': 'leaves no PTE',
  'PS(new)': 'sets the new PTE',
  'PS(ro)': 'write-protects',
  'PS(clean)': 'sets it old, clean',
  'PS(old)': 'puts the PTE back',
  'PS(moved)': 'moves the PTE',
  CF: 'flushes CPU TLBs',
  CFq: 'puts the flush off',
  CFp: 'flushes CPU TLBs, what was put off',
  CFr: 'flushes CPU TLBs, the whole range',
  SI: 'invalidates',
  'SI*': 'invalidates all',
  SIp: 'invalidates all',
  'SI?': 'invalidates for tables',
  'RE!': 'range_end invalidates',
  RS: 'range_start',
  RE: 'range_end',
  CP: 'change_pte',
  RR: 'removes the rmap',
  PP: 'puts the map ref',
  PPc: 'puts its own ref',
  FREE: 'frees',
};

/** How a CPU's access was served, in a few words. */
export const ACCESS_PHRASES: Readonly<Record<string, string>> = {
  tlb: 'TLB hit',
  stale: 'stale TLB entry',
  late: 'stale TLB entry, too late',
  walk: 'walk',
  fill: 'fills TLB',
};

/** What one step was, in a few words. `actions`: texts of the agent's script. */
export function actionText(
  step: ScheduleStep,
  { pages, buffers }: Pick<Replay, 'pages' | 'buffers'>,
  actions: readonly string[],
): string {
  const name = (page: number | null): string => (page === null ? '' : (pages[page] ?? ''));
  const said = step.events.map((event) => eventText(event, name(event.page), buffers)).filter((text) => text !== '');
  if (said.length > 0) return [...new Set(said)].join(', ');
  // Nothing has happened yet but that the agent came to its action.
  const action = step.events.find(({ kind }) => kind === 'action');
  return action === undefined ? 'goes on' : (actions[Number(action.what)] ?? '');
}

function eventText({ kind, what, detail, number }: LogEvent, page: string, buffers: readonly string[]): string {
  switch (kind) {
    case 'step': {
      const phrase = STEP_PHRASES[what];
      return phrase === undefined || what === 'RS' || what === 'RE' ? '' : phrase;
    }
    case 'access':
      return `${detail} ${page}: ${ACCESS_PHRASES[what]}`;
    case 'fault':
      return `${detail} ${page}: fault, ${what}`;
    case 'device':
      return `${detail} ${page}: ${what}`;
    case 'command':
      if (detail === 'queued' || detail === 'sent') return '';
      return detail === 'fetched' ? `takes ${what}` : `${what} ${detail}`;
    case 'free':
      return `frame ${what} is free`;
    case 'call':
      return `dma_${what} ${buffers[number] ?? ''}: ${detail}`;
    case 'queue':
      return `flush queue: ${what}`;
    case 'lock':
      return detail === 'waits for' ? `waits for the ${what}` : '';
    default:
      return '';
  }
}

/** The command that draws a schedule. Its stars are quoted: some shells refuse to leave them alone. */
export function replayCommand({
  race,
  policy,
  machine,
  files = {},
  settings = [],
  schedule,
}: Pick<Replay, 'race' | 'policy' | 'machine' | 'files' | 'settings' | 'schedule'>): string {
  const set = settings.flatMap((setting) => ['--set', setting]);
  const words = [
    'iommulator',
    'explore',
    files.race ?? race,
    '--policies',
    files.policy ?? policy,
    '--machines',
    files.machine ?? machine,
    ...set,
    '--replay',
    schedule,
  ];
  return words.map(shellWord).join(' ');
}

/** The steps of a schedule in words. */
export function stepsInWords(replay: Replay): ExplorationStep[] {
  const { steps, pages, actions } = replay;
  const marks = staleMarks(replay);
  return steps.map((step, i) => ({
    agent: step.agent,
    action: actionText(step, replay, actions[step.agent] ?? []),
    stale: Object.fromEntries([...marks[i]!].map(([page, mark]) => [pages[page]!, mark])),
  }));
}

/** Step by step, the pages that have stale copies, by page id; one whose window closes in the step is still among them. */
export function staleMarks({ steps, pages }: Pick<Replay, 'steps' | 'pages'>): Map<number, StaleMark>[] {
  const now = new Map<number, StaleMark>();
  return steps.map(({ events }) => {
    const row = new Map(now);
    for (const { kind, what, page } of events) {
      if (page === null || page >= pages.length) continue;
      if (kind === 'window' && what === 'closes') now.delete(page);
      else if (kind === 'window') now.set(page, 'open');
      else if (kind === 'due') now.set(page, 'due');
      if (kind === 'window' || kind === 'due') {
        const mark = now.get(page);
        if (mark !== undefined) row.set(page, mark);
      }
      if (kind === 'broken') row.set(page, 'used');
    }
    return row;
  });
}
