/**
 * The catalog: policies, machines and prices as files that users copy and edit. Finds, reads and checks them, and says
 * what there is as plain rows. Prints nothing.
 */
import { readdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { stringify } from 'yaml';
import { COST_KEYS, type Confidence, type Cost, type CostKey, type Costs, costsOf, isCostKey } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import { type Machine, type MachineSpec, machineOf } from '../model/machine.ts';
import { nearText, quote } from '../model/near.ts';
import { PATH_KINDS, PATH_NAMES, PATHS, type PathName } from '../model/path.ts';
import {
  type Family,
  familiesOf,
  NOTES,
  type Policy,
  type PolicySpec,
  PTE_STATES,
  policyOf,
  STEPS,
} from '../model/policy.ts';
import { CATALOG, fieldNote, parseFile, readText } from './file.ts';
import { machineKeys } from './settings.ts';

export { settingKind, withSetting } from './settings.ts';

export const CATALOG_KINDS = ['policies', 'machines', 'costs', 'paths'] as const;
export type CatalogKind = (typeof CATALOG_KINDS)[number];

/** One thing of the catalog. */
export interface CatalogRow {
  readonly name: string;
  /** Costs have the group that the key begins with. */
  readonly family: Family | 'mm+dma' | (string & {});
  readonly title: string;
  readonly source: string;
}

/** One price of the catalog. */
export interface CostRow extends CatalogRow {
  readonly name: CostKey;
  readonly default: number;
  readonly low: number;
  readonly high: number;
  readonly confidence: Confidence;
}

/** One line of a thing in full: a step list, a key that `--set` takes, a word and its meaning. */
export interface DetailRow {
  readonly key: string;
  readonly value: string;
  readonly note: string;
}

/** Files of one kind: where they lie, and what one is called in messages. */
const SHELVES = {
  policies: { folder: 'policies/', one: 'policy' },
  machines: { folder: 'machines/', one: 'machine' },
} as const;
type Shelf = keyof typeof SHELVES;

const COSTS_FILE = 'costs.yaml';

/** Names on a shelf, in the order of the alphabet. */
function names(shelf: Shelf): string[] {
  const files = readdirSync(new URL(SHELVES[shelf].folder, CATALOG)).filter((file) => file.endsWith('.yaml'));
  return files.map((file) => file.slice(0, -'.yaml'.length)).sort();
}

const isPath = (nameOrPath: string): boolean => /[/\\]|\.(ya?ml|json)$/i.test(nameOrPath);

/** What the file of a name or a path is called in messages. */
function placeOf(shelf: Shelf, nameOrPath: string): string {
  return isPath(nameOrPath) ? nameOrPath : `${SHELVES[shelf].folder}${nameOrPath}.yaml`;
}

/** Text of a name or of a path. */
function find(shelf: Shelf, nameOrPath: string): string {
  const place = placeOf(shelf, nameOrPath);
  if (isPath(nameOrPath)) return readText(nameOrPath, place);
  const { one } = SHELVES[shelf];
  const known = names(shelf);
  if (!known.includes(nameOrPath)) {
    const many = `${known.join(', ')}, or a file that ends in .yaml`;
    throw new UsageError(`no ${one} ${quote(nameOrPath)}${nearText(nameOrPath, known)}; expected one of ${many}`);
  }
  return readText(new URL(place, CATALOG), place);
}

/** A policy by name or from a YAML file. */
export function loadPolicy(nameOrPath: string): Policy {
  return policyOf(policySpec(nameOrPath, []), placeOf('policies', nameOrPath));
}

/** The file form of a policy, what it extends filled in. */
function policySpec(nameOrPath: string, chain: readonly string[]): PolicySpec {
  if (chain.includes(nameOrPath))
    throw new UsageError(`${chain[0]}: extends itself: ${[...chain, nameOrPath].join(' -> ')}`);
  if (chain.length > MAX_CHAIN) throw new UsageError(`${chain[0]}: extends through more than ${MAX_CHAIN} files`);
  const own = parseFile<PolicySpec>(find('policies', nameOrPath), 'policy', placeOf('policies', nameOrPath));
  if (own.extends === undefined) return own;
  const beside = isPath(nameOrPath) && isPath(own.extends);
  const base = policySpec(beside ? resolve(dirname(nameOrPath), own.extends) : own.extends, [...chain, nameOrPath]);
  const { name, title, source } = own;
  const mm = base.mm || own.mm ? { paths: { ...base.mm?.paths, ...own.mm?.paths } } : undefined;
  const dma = own.dma ?? base.dma;
  return { name, title, source, ...(mm === undefined ? {} : { mm }), ...(dma === undefined ? {} : { dma }) };
}

const MAX_CHAIN = 8;

/** A machine by name or from a YAML file. */
export function loadMachine(nameOrPath: string): Machine {
  const place = placeOf('machines', nameOrPath);
  return machineOf(parseFile<MachineSpec>(find('machines', nameOrPath), 'machine', place), place);
}

/** The prices of the catalog or, with a path, those of a YAML file over them. */
export function loadCosts(path?: string): Costs {
  const text = readText(new URL(COSTS_FILE, CATALOG), COSTS_FILE);
  const shipped = costsOf(parseFile<Record<string, Cost>>(text, 'costs', COSTS_FILE), COSTS_FILE);
  if (path === undefined) return shipped;
  return costsOf(parseFile<Record<string, Cost>>(readText(path, path), 'costs', path), path, shipped);
}

/** The policies there are. */
export function listPolicies(): CatalogRow[] {
  return names('policies').map((name) => {
    const policy = loadPolicy(name);
    return { name, family: familiesOf(policy).join('+'), title: policy.title, source: policy.source };
  });
}

/** The machines there are. */
export function listMachines(): CatalogRow[] {
  return names('machines').map((name) => {
    const { family, title, source } = loadMachine(name);
    return { name, family, title, source };
  });
}

/** The prices there are, in the order of the file's keys. */
export function listCosts(): CostRow[] {
  const costs = loadCosts();
  return COST_KEYS.map((name) => {
    const { note, ...cost } = costs[name];
    return { ...cost, name, family: name.split('.')[0]!, title: note };
  });
}

/** The kernel paths there are. */
export function listPaths(): CatalogRow[] {
  return PATH_NAMES.map((name) => ({ name, family: 'mm', title: PATHS[name].title, source: PATHS[name].kernel }));
}

/** Rows of one kind. */
export function listCatalog(kind: CatalogKind): CatalogRow[] {
  return { policies: listPolicies, machines: listMachines, costs: listCosts, paths: listPaths }[kind]();
}

/** One thing in full: the steps of a policy, the keys of a machine, a price, a path with the words of step lists. */
export function describe(kind: CatalogKind, name: string): DetailRow[] {
  switch (kind) {
    case 'policies':
      return describePolicy(loadPolicy(name));
    case 'machines': {
      const keys = [...machineKeys(loadMachine(name))];
      return keys.map(([key, value]) => ({ key: `machine.${key}`, value, note: fieldNote('machine', key) }));
    }
    case 'costs': {
      const { default: value, low, high, confidence, note, source } = loadCosts()[knownCost(name)];
      return [
        { key: `cost.${name}`, value: `${value} ns (${low}..${high}, ${confidence})`, note: `${note}; ${source}` },
      ];
    }
    case 'paths':
      return describePath(knownPath(name));
  }
}

function describePolicy({ mm, dma }: Policy): DetailRow[] {
  const lists =
    mm === undefined ? [] : PATH_NAMES.map((key) => ({ key, value: mm.paths[key].text, note: PATHS[key].title }));
  const fields = Object.entries(dma ?? {}).map(([key, value]) => ({
    key: `dma ${key}`,
    value: String(value),
    note: '',
  }));
  return [...lists, ...fields];
}

function describePath(path: PathName): DetailRow[] {
  const { kind, kernel, needs } = PATHS[path];
  const words = { ...STEPS, ...NOTES };
  return [
    { key: 'kind', value: kind, note: PATH_KINDS[kind] },
    { key: 'kernel', value: kernel, note: '' },
    { key: 'needs', value: needs.join(' '), note: 'steps that every list of the path has' },
    ...listPolicies()
      .map(({ name }) => ({ name, list: loadPolicy(name).mm?.paths[path] }))
      .flatMap(({ name, list }) => (list === undefined ? [] : [{ key: name, value: list.text, note: '' }])),
    ...Object.entries(words).map(([key, note]) => ({ key: 'step', value: key, note })),
    ...Object.entries(PTE_STATES).map(([key, note]) => ({ key: 'step', value: `PS(${key})`, note })),
  ];
}

/** What there is to copy and edit, as YAML: the file with its comments, or without a name the whole of costs or paths. */
export function catalogYaml(kind: CatalogKind, name?: string): string {
  if (kind === 'costs') {
    if (name === undefined) return readText(new URL(COSTS_FILE, CATALOG), COSTS_FILE);
    return stringify({ [name]: loadCosts()[knownCost(name)] }, { lineWidth: 100 });
  }
  if (kind === 'paths')
    return stringify(name === undefined ? PATHS : { [name]: PATHS[knownPath(name)] }, { lineWidth: 100 });
  if (name === undefined)
    throw new UsageError(`list ${kind} --yaml: expected a name, one of ${names(kind).join(', ')}`);
  return find(kind, name);
}

function knownCost(name: string): CostKey {
  if (!isCostKey(name))
    throw new UsageError(`no cost ${quote(name)}${nearText(name, COST_KEYS)}; \`list costs\` has them all`);
  return name;
}

function knownPath(name: string): PathName {
  if (!Object.hasOwn(PATHS, name)) {
    throw new UsageError(
      `no path ${quote(name)}${nearText(name, PATH_NAMES)}; expected one of ${PATH_NAMES.join(', ')}`,
    );
  }
  return name as PathName;
}
