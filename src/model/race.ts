/**
 * A race: a few agents, each with a few actions, on a few pages, and the properties that must not break in any order of
 * their steps. The text form is in traces/races/README.md; the same file serves all policies and machines.
 */
import { UsageError } from './errors.ts';
import { nearText, quote } from './near.ts';

/** Which agents a race can have. `kswapd` reclaims; `dev0` uses the address space through the IOMMU. */
export type AgentKind = 'cpu' | 'kswapd' | 'dev';
/** What a race is of: an address space, or the DMA API. */
export type RaceFamily = 'mm' | 'dma';

/** What stands behind the operands of an action. */
type Operands = 'page' | 'pages' | 'any' | 'move' | 'protection' | 'flag' | 'none';

interface ActionInfo {
  readonly by: readonly AgentKind[];
  readonly operands: Operands;
  readonly says: string;
}

/** What agents do. Kernel paths have the names that policies have for them. */
export const ACTIONS = {
  read: { by: ['cpu', 'dev'], operands: 'page', says: 'a load, or a DMA read' },
  write: { by: ['cpu', 'dev'], operands: 'page', says: 'a store, or a DMA write' },
  munmap: { by: ['cpu'], operands: 'pages', says: 'munmap of neighbouring pages' },
  dontneed: { by: ['cpu'], operands: 'pages', says: 'madvise(MADV_DONTNEED)' },
  madv_free: { by: ['cpu'], operands: 'pages', says: 'madvise(MADV_FREE)' },
  mprotect: { by: ['cpu'], operands: 'protection', says: 'mprotect to ro or rw' },
  mremap: { by: ['cpu'], operands: 'move', says: 'mremap: page to page' },
  clear_refs: {
    by: ['cpu'],
    operands: 'any',
    says: 'soft-dirty tracking of neighbouring pages begins anew, or of all',
  },
  page_mkclean: { by: ['cpu'], operands: 'page', says: 'a page of a shared file is cleaned for write-back' },
  uprobe: { by: ['cpu'], operands: 'page', says: 'a breakpoint is put into a page of a file' },
  ksm_write_protect: { by: ['cpu'], operands: 'page', says: 'KSM protects a page' },
  ksm_replace: { by: ['cpu'], operands: 'page', says: 'KSM replaces a page that nobody may write' },
  migrate: { by: ['cpu'], operands: 'page', says: 'a page is moved to another frame' },
  hwpoison: { by: ['cpu'], operands: 'page', says: 'memory failure takes a page away' },
  fork: { by: ['cpu'], operands: 'pages', says: 'fork: the second process maps neighbouring pages as well' },
  unshare: { by: ['cpu'], operands: 'pages', says: 'a page table of hugetlbfs that others have as well is given up' },
  migrate_vma: { by: ['cpu'], operands: 'page', says: 'a page, or the zero page, makes room for memory of a device' },
  numa_hint: { by: ['cpu'], operands: 'pages', says: 'NUMA balancing makes pages PROT_NONE' },
  numa_migrate: { by: ['cpu'], operands: 'page', says: 'a NUMA hinting fault copies a huge page to another node' },
  thp_split: { by: ['cpu'], operands: 'pages', says: 'huge pages become small ones' },
  thp_collapse: { by: ['cpu'], operands: 'pages', says: 'khugepaged copies pages into a huge one' },
  exit: { by: ['cpu'], operands: 'none', says: 'the process is gone, and all that it has mapped' },
  mismatch: { by: ['cpu'], operands: 'pages', says: 'SwapBacked and SwapCache of pages disagree from here on' },
  unused: { by: ['cpu'], operands: 'pages', says: 'a guest says that it does not use pages (s390)' },
  reclaim: { by: ['kswapd'], operands: 'pages', says: 'reclaim of a batch; the PTE decides the branch' },
  prefetch: {
    by: ['dev'],
    operands: 'page',
    says: 'the device asks for a translation to write, in advance, and goes on',
  },
  ring: { by: ['cpu', 'kswapd', 'dev'], operands: 'flag', says: 'a store-release to a flag: a doorbell, a completion' },
  await: { by: ['cpu', 'kswapd', 'dev'], operands: 'flag', says: 'waits until the flag is rung; a load-acquire' },
  activate: { by: ['dev'], operands: 'none', says: 'the device begins to use the PASID' },
  deactivate: { by: ['dev'], operands: 'none', says: 'the device stops using the PASID' },
  unbind: { by: ['cpu'], operands: 'none', says: 'the PASID is given back, and what there is of it invalidated' },
  map: { by: ['cpu'], operands: 'page', says: 'dma_map of a buffer' },
  unmap: { by: ['cpu'], operands: 'page', says: 'dma_unmap of a buffer' },
  bind: { by: ['cpu'], operands: 'page', says: 'the PASID becomes that of the process that the page is of' },
} as const satisfies Record<string, ActionInfo>;
export type ActionWord = keyof typeof ACTIONS;

/** What a page is before the first access: its memory, or a file's. */
export const PAGE_KINDS = ['anonymous', 'file', 'shared', 'hugetlb', 'huge', 'buffer'] as const;
export type PageKind = (typeof PAGE_KINDS)[number];

/** A page of a race. Pages follow one another in the order of the file, `far` ones in a page table of their own. */
export interface RacePage {
  readonly name: string;
  readonly kind: PageKind;
  /** Of the second process: SECOND_PROCESS above the page that has the same address. */
  readonly vpn: number;
}

/** One action. `pages` are indices; the new place of mremap is `to`. */
export interface RaceAction {
  readonly word: ActionWord;
  readonly text: string;
  readonly pages: readonly number[];
  readonly to?: number;
  readonly writable?: boolean;
  /** Index among the race's flags. */
  readonly flag?: number;
}

/** An agent and its column. */
export interface RaceAgent {
  readonly name: string;
  readonly kind: AgentKind;
  readonly actions: readonly RaceAction[];
}

/**
 * What a race can say must never be: a property broken (GLOSSARY.md); or, whether that breaks one or not, an access by an
 * old translation (`stale`), an obligation that falls due while an old translation can be used (`exposed`), a device access
 * denied (`denied`), a CPU's access by a TLB entry that a call which has returned should have ended (`late`).
 */
export const RACE_PROPERTIES = [
  'S1', 'S2', 'S2x', 'S3', 'S4', 'S5', 'S6', 'stale', 'exposed', 'denied', 'late',
] as const; // biome-ignore format: a table
export type RaceProperty = (typeof RACE_PROPERTIES)[number];

/** A race, checked. */
export interface Race {
  readonly name: string;
  /** Where it was read from, as the request names it; absent of shipped ones and of those that were no file. */
  readonly file?: string;
  readonly family: RaceFamily;
  readonly source: string;
  readonly about: string;
  readonly pages: readonly RacePage[];
  /** What has happened before the race, one action after the other: who caches what. */
  readonly start: readonly { readonly agent: number; readonly action: RaceAction }[];
  readonly agents: readonly RaceAgent[];
  readonly flags: readonly string[];
  readonly never: readonly RaceProperty[];
  /** Whether the device uses the PASID when the race begins. */
  readonly active: boolean;
  /** Whether others can come between a walk and the fill of a cache with what it has read. */
  readonly splitWalks: boolean;
}

/** Whether page requests have a queue in a race: where a device asks in advance, it can stop before it has been answered. */
export function queuesRequests({ agents }: Race): boolean {
  return agents.some(({ actions }) => actions.some(({ word }) => word === 'prefetch'));
}

/** Bounds of a race: more has more states than anybody waits for. */
export const MAX_RACE = { pages: 8, cpus: 4, actions: 16, start: 32, flags: 8 } as const;
const MAX_RACE_TEXT = 1 << 14;
/** First page, and pages of one leaf table. */
const FIRST_VPN = 0x1000;
const TABLE = 512;
/** Between pages of two processes that have the same address: 2^40 pages, as in the engine. */
export const SECOND_PROCESS = 2 ** 40;

const KEYS = ['race', 'source', 'about', 'walk', 'page', 'start', 'agents', 'never'];

/** The race of a text. Errors name `place:line:column`. */
export function parseRace(text: string, place: string): Race {
  if (text.length > MAX_RACE_TEXT)
    throw new UsageError(`${place}: ${text.length} characters, expected at most ${MAX_RACE_TEXT}`);
  return new Parser(place).parse(text);
}

/** A piece of a line and where it stands, from 1. */
interface Piece {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

class Parser {
  private readonly said = new Map<string, string>();
  private readonly pages: RacePage[] = [];
  private readonly flags: string[] = [];
  private readonly start: { agent: string; piece: Piece; action: Piece }[] = [];
  private columns: Piece[] = [];
  private readonly rows: Piece[][] = [];
  private never: RaceProperty[] = [];
  private tables = 0;

  constructor(private readonly place: string) {}

  parse(text: string): Race {
    let key = '';
    text.split(/\r?\n/).forEach((raw, i) => {
      const line = raw.replace(/#.*$/, '').trimEnd();
      if (line === '') return;
      const head = /^(\S+)(\s*)/.exec(line);
      if (head === null) {
        const rest = { text: line.trimStart(), line: i + 1, column: line.length - line.trimStart().length + 1 };
        if (key === '') this.fail(rest, 'expected a key such as race at the start of the line');
        this.more(key, { text: line, line: i + 1, column: 1 }, rest);
        return;
      }
      key = head[1]!;
      const at = { text: key, line: i + 1, column: 1 };
      if (!KEYS.includes(key))
        this.fail(at, `${quote(key)} is not a key${nearText(key, KEYS)}; keys are ${KEYS.join(' ')}`);
      this.begin(key, { text: line.slice(head[0].length), line: i + 1, column: head[0].length + 1 });
    });
    return this.finish();
  }

  private fail({ line, column }: Piece, message: string): never {
    throw new UsageError(`${this.place}:${line}:${column}: ${message}`);
  }

  private begin(key: string, rest: Piece): void {
    if (rest.text === '') this.fail(rest, `nothing behind ${key}`);
    if (key === 'page') this.page(rest);
    else if (key === 'start') this.startAction(rest);
    else if (key === 'agents') this.columns = this.cells(rest);
    else if (key === 'never') this.properties(rest);
    else {
      if (this.said.has(key)) this.fail(rest, `a second ${key}, expected one`);
      if (key === 'walk' && rest.text !== 'split') this.fail(rest, `${quote(rest.text)} behind walk, expected split`);
      this.said.set(key, rest.text);
    }
  }

  /** A line that goes on with what the last key began. */
  private more(key: string, whole: Piece, rest: Piece): void {
    if (key === 'agents') this.rows.push(this.cells(whole));
    else if (key === 'start') this.startAction(rest);
    else if (key === 'about' || key === 'source') this.said.set(key, `${this.said.get(key)} ${rest.text}`);
    else this.fail(rest, `${quote(rest.text)} is indented under ${key}, expected a key at the start of the line`);
  }

  private cells({ text, line, column }: Piece): Piece[] {
    let at = column;
    return text.split('|').map((cell) => {
      const piece = { text: cell.trim(), line, column: at + cell.length - cell.trimStart().length };
      at += cell.length + 1;
      return piece;
    });
  }

  private page(rest: Piece): void {
    const [name = '', kind = '', where, other, ...more] = rest.text.split(/\s+/);
    if (!/^[a-z][a-z0-9_]{0,15}$/.test(name))
      this.fail(rest, `${quote(name)} is not a page's name, expected one such as v`);
    if (this.pages.some((page) => page.name === name)) this.fail(rest, `page ${name} is there already`);
    if (!PAGE_KINDS.includes(kind as PageKind))
      this.fail(rest, `page ${name} is ${quote(kind)}, expected ${PAGE_KINDS.join(', ')}`);
    const placed =
      where === undefined || (where === 'far' && other === undefined) || (where === 'at' && other !== undefined);
    if (more.length > 0 || !placed)
      this.fail(rest, `${quote(where!)} behind the kind, expected far, at PAGE or nothing`);
    if (this.pages.length === MAX_RACE.pages) this.fail(rest, `a ninth page, expected at most ${MAX_RACE.pages}`);
    if (where === 'far') this.tables++;
    const vpn = where === 'at' ? this.sameAddress(rest, other!) : FIRST_VPN + this.tables * TABLE + this.pages.length;
    this.pages.push({ name, kind: kind as PageKind, vpn });
  }

  /** The page of a second process at the address of one of the first. */
  private sameAddress(rest: Piece, name: string): number {
    const vpn = this.pages[this.pageOf(rest, name)]!.vpn + SECOND_PROCESS;
    if (vpn >= 2 * SECOND_PROCESS)
      this.fail(rest, `page ${name} is of the second process itself, expected one of the first`);
    if (this.pages.some((page) => page.vpn === vpn)) this.fail(rest, `a second page at ${name}, expected one`);
    return vpn;
  }

  private startAction(rest: Piece): void {
    if (this.start.length === MAX_RACE.start) this.fail(rest, `more than ${MAX_RACE.start} actions before the race`);
    const match = /^(\S+)\s+(.*)$/.exec(rest.text);
    if (match === null) this.fail(rest, `${quote(rest.text)}, expected an agent and an action, such as cpu0 write v`);
    const column = rest.column + match[0].length - match[2]!.length;
    this.start.push({ agent: match[1]!, piece: rest, action: { ...rest, text: match[2]!, column } });
  }

  private properties(rest: Piece): void {
    for (const word of rest.text.split(/\s+/)) {
      if (!RACE_PROPERTIES.includes(word as RaceProperty))
        this.fail(rest, `${quote(word)} is not a property, expected ${RACE_PROPERTIES.join(' ')}`);
      if (!this.never.includes(word as RaceProperty)) this.never.push(word as RaceProperty);
    }
  }

  private finish(): Race {
    const end: Piece = { text: '', line: 1, column: 1 };
    for (const key of ['race', 'source', 'about']) if (!this.said.has(key)) this.fail(end, `${key} is missing`);
    if (this.pages.length === 0) this.fail(end, 'page is missing: no page is declared');
    if (this.columns.length === 0) this.fail(end, 'agents is missing: there is nobody to race');
    if (this.never.length === 0) this.fail(end, 'never is missing: expected properties such as S1');
    const agents = this.columns.map((column, i) => this.agent(column, i));
    const start = this.start.map(({ agent, piece, action }) => this.started(agents, agent, piece, action));
    const family = this.familyOf(agents);
    const device = agents.find(({ kind }) => kind === 'dev');
    const first = device?.actions.find(({ word }) => word === 'activate' || word === 'deactivate');
    return {
      name: this.said.get('race')!,
      family,
      source: this.said.get('source')!,
      about: this.said.get('about')!,
      pages: this.pages,
      start,
      agents,
      flags: this.flags,
      never: this.never,
      active: first?.word !== 'activate',
      splitWalks: this.said.has('walk'),
    };
  }

  /** Buffers are of the DMA API, with actions of their own; pages are of an address space. */
  private familyOf(agents: readonly RaceAgent[]): RaceFamily {
    const buffers = this.pages.filter(({ kind }) => kind === 'buffer').length;
    const family = buffers > 0 ? 'dma' : 'mm';
    const [first] = this.columns as [Piece];
    if (buffers > 0 && buffers < this.pages.length)
      this.fail(first, 'buffers beside pages, expected the ones or the others');
    if (family === 'dma' && this.start.length > 0)
      this.fail(this.start[0]!.piece, 'a start, which a race of buffers has not');
    const mapped: number[] = [];
    agents.forEach(({ name, kind, actions }, i) => {
      for (const { word, text, pages } of actions) {
        const known = word === 'map' || word === 'unmap' || (kind === 'dev' && (word === 'read' || word === 'write'));
        const odd = family === 'dma' ? !known : word === 'map' || word === 'unmap';
        if (odd)
          this.fail(
            this.columns[i]!,
            `${name}: ${quote(text)}, which is no action on a ${family === 'dma' ? 'buffer' : 'page'}`,
          );
        if (word === 'map' && mapped.includes(pages[0]!))
          this.fail(this.columns[i]!, `${name}: ${quote(text)}, which is mapped already`);
        if (word === 'map') mapped.push(pages[0]!);
      }
    });
    const never = family === 'dma' ? this.pages.findIndex((_, page) => !mapped.includes(page)) : -1;
    if (never >= 0) this.fail(first, `buffer ${this.pages[never]!.name} is never mapped`);
    return family;
  }

  private started(agents: readonly RaceAgent[], name: string, piece: Piece, action: Piece) {
    const agent = agents.findIndex((one) => one.name === name);
    const names = agents.map((one) => one.name);
    if (agent < 0)
      this.fail(
        piece,
        `${quote(name)} is not an agent of this race${nearText(name, names)}; they are ${names.join(' ')}`,
      );
    const started = this.action(action, agents[agent]!.kind);
    if (started.word === 'activate' || started.word === 'deactivate')
      this.fail(
        action,
        `${started.word} before the race, expected it in the column of dev0, whose first one says how it begins`,
      );
    return { agent, action: started };
  }

  private agent(column: Piece, index: number): RaceAgent {
    const { text: name } = column;
    const kind = /^cpu\d$/.test(name) ? 'cpu' : name === 'kswapd' ? 'kswapd' : name === 'dev0' ? 'dev' : undefined;
    if (kind === undefined)
      this.fail(column, `${quote(name)} is not an agent, expected cpu0, cpu1, .., kswapd or dev0`);
    const same = this.columns.findIndex((other) => other.text === name);
    if (same !== index) this.fail(column, `a second column ${name}`);
    const cpus = this.columns.filter((other) => other.text.startsWith('cpu')).map((other) => other.text);
    if (kind === 'cpu' && name !== `cpu${cpus.indexOf(name)}`)
      this.fail(column, `${name} is out of order, expected cpu${cpus.indexOf(name)}`);
    if (cpus.length > MAX_RACE.cpus) this.fail(column, `${cpus.length} CPUs, expected at most ${MAX_RACE.cpus}`);
    const actions: RaceAction[] = [];
    for (const row of this.rows) {
      if (row.length > this.columns.length)
        this.fail(row.at(-1)!, `a column too many, expected ${this.columns.length}`);
      const cell = row[index];
      if (cell !== undefined && cell.text !== '') actions.push(this.action(cell, kind));
    }
    if (actions.length > MAX_RACE.actions)
      this.fail(column, `${name} has ${actions.length} actions, expected at most ${MAX_RACE.actions}`);
    if (kind === 'dev') this.checkActive(column, actions);
    return { name, kind, actions };
  }

  /** The device begins to use the PASID and stops by turns. */
  private checkActive(column: Piece, actions: readonly RaceAction[]): void {
    const turns = actions.filter(({ word }) => word === 'activate' || word === 'deactivate');
    const twice = turns.find(({ word }, i) => i > 0 && word === turns[i - 1]!.word);
    if (twice !== undefined) this.fail(column, `dev0: ${twice.word} twice in a row`);
  }

  private action(cell: Piece, kind: AgentKind): RaceAction {
    const [word = '', ...operands] = cell.text.split(/\s+/);
    if (!Object.hasOwn(ACTIONS, word))
      this.fail(
        cell,
        `${quote(word)} is not an action${nearText(word, Object.keys(ACTIONS))}; actions are ${Object.keys(ACTIONS).join(' ')}`,
      );
    const info: ActionInfo = ACTIONS[word as ActionWord];
    if (!info.by.includes(kind))
      this.fail(cell, `${word} is no action of a ${kind}, expected one of ${actionsOf(kind).join(' ')}`);
    const action = { word: word as ActionWord, text: cell.text };
    const page = (name: string | undefined): number => this.pageOf(cell, name);
    const count = (n: number, what: string): void => {
      if (operands.length !== n) this.fail(cell, `${quote(cell.text)}, expected ${word} ${what}`.trimEnd());
    };
    switch (info.operands) {
      case 'none':
        count(0, '');
        return { ...action, pages: [] };
      case 'flag':
        count(1, 'FLAG');
        return { ...action, pages: [], flag: this.flagOf(cell, operands[0]!) };
      case 'page':
        count(1, 'PAGE');
        return { ...action, pages: [page(operands[0])] };
      case 'move':
        if (operands[1] !== 'to') this.fail(cell, `${quote(cell.text)}, expected mremap PAGE to PAGE`);
        count(3, 'PAGE to PAGE');
        return { ...action, pages: [page(operands[0])], to: page(operands[2]) };
      case 'protection': {
        const last = operands.pop();
        if (last !== 'ro' && last !== 'rw') this.fail(cell, `${quote(cell.text)}, expected mprotect PAGE .. ro or rw`);
        return { ...action, pages: this.neighbours(cell, operands), writable: last === 'rw' };
      }
      case 'any':
        return { ...action, pages: operands.length === 0 ? [] : this.neighbours(cell, operands) };
      default:
        return { ...action, pages: this.neighbours(cell, operands) };
    }
  }

  private neighbours(cell: Piece, names: readonly string[]): number[] {
    const pages = names.map((name) => this.pageOf(cell, name));
    if (pages.length === 0) this.fail(cell, `${quote(cell.text)}, expected pages behind it`);
    const apart = pages.find((page, i) => i > 0 && this.pages[page]!.vpn !== this.pages[pages[i - 1]!]!.vpn + 1);
    if (apart !== undefined)
      this.fail(cell, `page ${this.pages[apart]!.name} does not follow the one before it, expected neighbours`);
    return pages;
  }

  private pageOf(cell: Piece, name: string | undefined): number {
    const names = this.pages.map((page) => page.name);
    const index = names.indexOf(name ?? '');
    if (index < 0) this.fail(cell, `${quote(name ?? '')} is not a page of this race; they are ${names.join(' ')}`);
    return index;
  }

  private flagOf(cell: Piece, name: string): number {
    if (!/^[a-z][a-z0-9_]{0,15}$/.test(name))
      this.fail(cell, `${quote(name)} is not a flag's name, expected one such as stored`);
    const known = this.flags.indexOf(name);
    if (known >= 0) return known;
    if (this.flags.length === MAX_RACE.flags) this.fail(cell, `more than ${MAX_RACE.flags} flags`);
    return this.flags.push(name) - 1;
  }
}

/** Words that an agent of a kind can say. */
function actionsOf(kind: AgentKind): string[] {
  return Object.entries(ACTIONS)
    .filter(([, { by }]) => (by as readonly AgentKind[]).includes(kind))
    .map(([word]) => word);
}
