/**
 * A race and one order of its steps as a trace, and back. Pages are those of `mmap` events; what stands before `started` has
 * happened; what an agent does behind it is its column; `turn` events are the schedule. traces/FORMAT.md tells it in full.
 */
import { TraceError } from '../model/errors.ts';
import { quote } from '../model/near.ts';
import { MAX_RACE, parseRace, type Race, type RaceAction, type RacePage, SECOND_PROCESS } from '../model/race.ts';
import { ADVICE, type EventName, MAP_FLAG, PROT, type TraceEvent, type TraceMeta, TURNS_OF } from '../model/trace.ts';
import type { Chunk } from './format.ts';
import { recordsOf, type TraceRecord } from './records.ts';
import { READ, type TraceWriter, WRITE } from './writer.ts';

/** So many steps of one agent: a column of the race, `iommu` or `link`. */
export interface Turn {
  readonly agent: string;
  readonly steps: number;
  /** Number of the trace record that says so. */
  readonly record: number;
}

/** What a scheduled trace says. */
export interface Scheduled {
  readonly race: Race;
  readonly turns: readonly Turn[];
}

const FLAGS = {
  anonymous: 0,
  file: MAP_FLAG.file,
  shared: MAP_FLAG.file | MAP_FLAG.shared,
  hugetlb: MAP_FLAG.hugetlb,
  huge: MAP_FLAG.huge,
  buffer: 0,
} as const;
/** Agents that take the steps of hardware, whoever's event says so. */
const HARDWARE: readonly string[] = TURNS_OF;

/** Words of a race whose event is of a range, and nothing else. */
const RANGES = {
  munmap: 'munmap',
  fork: 'fork',
  unshare: 'unshare',
  migrate_vma: 'migrateVma',
  numa_hint: 'numaHint',
  numa_migrate: 'numaMigrate',
  thp_split: 'split',
  thp_collapse: 'collapse',
  clear_refs: 'clearRefs',
  page_mkclean: 'writeback',
  uprobe: 'uprobe',
  ksm_write_protect: 'mergeProtect',
  ksm_replace: 'mergeReplace',
  migrate: 'migrate',
  hwpoison: 'poison',
  mismatch: 'mismatch',
  unused: 'unused',
  reclaim: 'reclaim',
} as const satisfies Partial<Record<RaceAction['word'], EventName>>;
const WORDS: ReadonlyMap<EventName, string> = new Map(Object.entries(RANGES).map(([word, event]) => [event, word]));

/** Writes a race and the agents of a schedule, step by step, into a trace, whose caches have so many entries. */
export function writeScheduled(race: Race, entries: number, agents: readonly string[], out: TraceWriter): void {
  out.interleaved = true;
  out.schedule = race.splitWalks ? { entries, walk: 'split' } : { entries };
  const mm = out.space('mm', 'mm');
  const numbers = race.agents.map(({ name, kind }) => out.agent(name, kind === 'dev' ? 'device' : 'cpu', mm));
  for (const { vpn, kind } of race.pages) out.event(0, 'mmap', [mm, vpn, vpn + 1, PROT.read | PROT.write, FLAGS[kind]]);
  for (const { agent, action } of race.start) writeAction(race, numbers[agent]!, action, out);
  out.event(0, 'started', []);
  race.agents.forEach(({ actions }, i) => {
    for (const action of actions) writeAction(race, numbers[i]!, action, out);
  });
  let steps = 0;
  agents.forEach((name, i) => {
    steps++;
    if (agents[i + 1] === name) return;
    const by = race.agents.findIndex((agent) => agent.name === name);
    out.event(Math.max(0, by), 'turn', [steps, Math.max(0, HARDWARE.indexOf(name))]);
    steps = 0;
  });
}

function writeAction(race: Race, by: number, action: RaceAction, out: TraceWriter): void {
  const { word, pages } = action;
  if (word === 'read' || word === 'write')
    out.access(by, word === 'read' ? READ : WRITE, race.pages[pages[0]!]!.vpn, false);
  else out.event(by, ...eventOf(race, action));
}

/** The event that an action is, and its fields, in the only space. */
function eventOf(race: Race, action: RaceAction): [Exclude<EventName, 'switch'>, number[]] {
  const { word, pages, to, writable, flag } = action;
  const first = pages.length === 0 ? 0 : race.pages[pages[0]!]!.vpn;
  const range = [0, first, pages.length === 0 ? SECOND_PROCESS : first + pages.length];
  switch (word) {
    case 'dontneed':
      return ['madvise', [...range, ADVICE.dontneed]];
    case 'madv_free':
      return ['madvise', [...range, ADVICE.free]];
    case 'mprotect':
      return ['mprotect', [...range, writable ? PROT.read | PROT.write : PROT.read]];
    case 'mremap': {
      const target = race.pages[to!]!.vpn;
      return ['mremap', [...range, target, target + pages.length]];
    }
    case 'ring':
      return ['signal', [flag!]];
    case 'await':
      return ['wait', [flag!, 0]];
    case 'activate':
    case 'deactivate':
    case 'unbind':
    case 'exit':
      return [word, [0]];
    case 'bind':
    case 'prefetch':
      return [word, [0, first]];
    default:
      return [RANGES[word as keyof typeof RANGES], range];
  }
}

/** Collects the records of a scheduled trace, chunk by chunk. */
export class ScheduledReader {
  private readonly records: TraceRecord[] = [];
  private readonly pages: { space: number; vpn: number }[] = [];

  constructor(private readonly meta: TraceMeta) {
    if (meta.counts.records > MAX_RECORDS)
      throw new TraceError(
        meta.source.file,
        `is scheduled, and has ${meta.counts.records} records, expected at most ${MAX_RECORDS}`,
      );
  }

  feed(chunk: Chunk): void {
    this.pages.push(...chunk.pages);
    this.records.push(...recordsOf(chunk, this.pages));
  }

  /** The race that the records tell, checked as the text of a race is, and its schedule. */
  finish(): Scheduled {
    const pages: RacePage[] = [];
    const turns: Turn[] = [];
    const start: string[] = [];
    const columns = this.meta.agents.map((): string[] => []);
    let started = false;
    for (const [number, record] of this.records.entries()) {
      const name = this.meta.agents[record.agent]!.name;
      const [op, fields] = 'event' in record ? [record.event.op, record.event.fields] : ['', []];
      if (op === 'started') started = true;
      else if (op === 'turn') turns.push({ ...turnOf(name, fields, number), record: number });
      else if (op === 'mmap' && 'event' in record)
        for (const page of mappedPages(record.event)) addPage(pages, page, number);
      else if (op !== 'switch') {
        const text = actionOf(record, pages, number);
        if (started) columns[record.agent]!.push(text);
        else start.push(`${name} ${text}`);
      }
    }
    return { race: this.race(pages, start, columns), turns };
  }

  private race(pages: readonly RacePage[], start: readonly string[], columns: readonly (readonly string[])[]): Race {
    const { agents, source, schedule } = this.meta;
    const odd = agents.find(({ name }) => !/^(cpu\d|kswapd|dev0)$/.test(name));
    if (odd)
      throw new TraceError(
        source.file,
        `is scheduled, and has the agent ${quote(odd.name)}, expected cpu0, cpu1, .., kswapd or dev0`,
      );
    const rows = Math.max(0, ...columns.map((column) => column.length));
    const lines = [
      'race scheduled',
      'source a trace',
      'about a trace',
      ...(schedule?.walk === undefined ? [] : ['walk split']),
      ...pages.map(({ name, kind, vpn }, i) => `page ${name} ${kind}${placeOf(pages, vpn, i)}`),
      ...start.map((line) => `start ${line}`),
      `agents ${agents.map(({ name }) => name).join(' | ')}`,
      ...Array.from({ length: rows }, (_, row) => ` ${columns.map((column) => column[row] ?? '').join(' | ')}`),
      'never S1',
    ];
    const race = parseRace(lines.join('\n'), `${source.file} as a race`);
    return { ...race, pages };
  }
}

/** Records of a scheduled trace at most: some races and all their steps. */
const MAX_RECORDS = 1 << 16;

/** Where a page lies, as a race says it: in a page table of its own, or at the address of another. */
function placeOf(pages: readonly RacePage[], vpn: number, index: number): string {
  if (vpn >= SECOND_PROCESS) return ` at ${pages.find((page) => page.vpn === vpn - SECOND_PROCESS)?.name}`;
  const before = pages.slice(0, index).findLast((page) => page.vpn < SECOND_PROCESS);
  return before === undefined || before.vpn + 1 === vpn ? '' : ' far';
}

/** Pages that an event of a scheduled trace maps, and what they are. */
export function mappedPages({ op, fields }: TraceEvent): Omit<RacePage, 'name'>[] {
  if (op !== 'mmap') return [];
  const [, first, end, , flags] = fields as [number, number, number, number, number];
  const kind =
    (['hugetlb', 'huge', 'shared', 'file'] as const).find((name) => (flags & FLAGS[name]) === FLAGS[name]) ??
    'anonymous';
  // One more is refused by whoever collects them.
  const count = Math.min(Math.max(0, end - first), MAX_RACE.pages + 1);
  return Array.from({ length: count }, (_, i) => ({ kind, vpn: first + i }));
}

function addPage(pages: RacePage[], page: Omit<RacePage, 'name'>, record: number): void {
  const name = `page 0x${page.vpn.toString(16)}`;
  if (page.vpn >= 2 * SECOND_PROCESS)
    fail(record, `maps ${name}, expected one below 0x${(2 * SECOND_PROCESS).toString(16)}`);
  if (pages.some(({ vpn }) => vpn === page.vpn)) fail(record, `maps ${name}, which is mapped already`);
  const at = page.vpn - SECOND_PROCESS;
  if (at >= 0 && pages.every(({ vpn }) => vpn !== at))
    fail(record, `maps ${name} of a second process, expected the page at 0x${at.toString(16)} to be mapped before it`);
  if (pages.length === MAX_RACE.pages)
    fail(record, `maps page number ${pages.length + 1}, expected at most ${MAX_RACE.pages}`);
  pages.push({ ...page, name: `p${pages.length}` });
}

function nameOf(pages: readonly RacePage[], vpn: number, record: number): string {
  const found = pages.find((page) => page.vpn === vpn);
  return found?.name ?? fail(record, `uses page 0x${vpn.toString(16)}, which no mmap before it maps`);
}

function namesOf(pages: readonly RacePage[], first: number, end: number, record: number): string {
  const names = pages.filter(({ vpn }) => vpn >= first && vpn < end).map(({ name }) => name);
  if (names.length === 0 || names.length !== end - first)
    fail(record, `is of pages 0x${first.toString(16)}..0x${end.toString(16)}, not all of which an mmap before it maps`);
  return names.join(' ');
}

/** Whose steps a turn is of. */
function turnOf(name: string, [steps, of]: readonly number[], record: number): Omit<Turn, 'record'> {
  const whose = TURNS_OF[of!];
  if (whose === undefined) fail(record, `is a turn of ${of}, expected 0..${TURNS_OF.length - 1}`);
  return { agent: whose === 'agent' ? name : whose, steps: steps! };
}

/** What a record is in a race. */
function actionOf(said: TraceRecord, pages: readonly RacePage[], record: number): string {
  if ('run' in said) {
    const { op, fetches, datas } = said.run;
    if (op === 'fetch' || fetches + datas > 1) fail(record, 'is a fetch, or a run of several accesses');
    return `${op} ${nameOf(pages, said.page.vpn, record)}`;
  }
  const { op, fields } = said.event;
  const [, first = 0, end = 0, third = 0] = fields;
  const names = (): string => namesOf(pages, first, end, record);
  const word = WORDS.get(op);
  if (op === 'clearRefs' && first === 0 && end === SECOND_PROCESS) return 'clear_refs';
  if (word !== undefined) return `${word} ${names()}`;
  switch (op) {
    case 'madvise':
      return `${third === ADVICE.free ? 'madv_free' : 'dontneed'} ${names()}`;
    case 'mprotect':
      return `mprotect ${names()} ${(third & PROT.write) === 0 ? 'ro' : 'rw'}`;
    case 'mremap':
      return `mremap ${names()} to ${nameOf(pages, third, record)}`;
    case 'signal':
      return `ring f${fields[0]}`;
    case 'wait':
      return `await f${fields[0]}`;
    case 'bind':
    case 'prefetch':
      return `${op} ${nameOf(pages, first, record)}`;
    case 'activate':
    case 'deactivate':
    case 'unbind':
    case 'exit':
      return op;
    default:
      return fail(record, `is the event ${op}, which no agent of a race has`);
  }
}

function fail(record: number, what: string): never {
  throw new TraceError(`record ${record}`, what);
}
