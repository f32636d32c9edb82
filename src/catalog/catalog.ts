/**
 * The catalog: policies, machines and prices as files that users copy and edit. Finds, reads and checks them, and says
 * what there is as plain rows. Prints nothing.
 */
import { costs as shippedCosts } from '../../build/catalog.js';
import costsShape from '../../build/validators/costs.js';
import policyShape from '../../build/validators/policy.js';
import { COST_KEYS, type Confidence, type Cost, type CostKey, type Costs, costsOf, isCostKey } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import { nearText, quote } from '../model/near.ts';
import { PATH_KINDS, PATH_NAMES, PATHS, type PathName } from '../model/path.ts';
import {
  type Family,
  familiesOf,
  type Halves,
  halvesOf,
  heldSteps,
  NOTES,
  type Policy,
  type PolicySpec,
  PTE_STATES,
  policyOf,
  STEPS,
  stepText,
} from '../model/policy.ts';
import { fieldNote, parseFile, readText, shaped, yaml } from './file.ts';
import { cpuSpec, loadCpu, loadMachine } from './machines.ts';
import { keysOf, machineKeys } from './settings.ts';
import { checkChain, labelOf, namedFrom, namesOn, placeOf, textOf } from './shelf.ts';

export { loadCpu, loadMachine } from './machines.ts';
export { changesPolicy, settingKind, withPolicySetting, withSetting } from './settings.ts';

export const CATALOG_KINDS = ['policies', 'machines', 'cpus', 'costs', 'paths'] as const;
export type CatalogKind = (typeof CATALOG_KINDS)[number];

/** One thing of the catalog. */
export interface CatalogRow {
  readonly name: string;
  /** Costs have the group that the key begins with. */
  readonly family: Family | 'mm+dma' | (string & {});
  readonly title: string;
  readonly source: string;
}

/** One kernel path. */
export interface PathRow extends CatalogRow {
  readonly locks: string;
  readonly last: string;
  readonly newPage: string;
  readonly stale: string;
}

/** One price of the catalog. */
export interface CostRow extends CatalogRow {
  readonly name: CostKey;
  readonly default: number;
  readonly low: number;
  readonly high: number;
  readonly confidence: Confidence;
}

/** One thing in full: the steps of a policy, the keys that `--set` takes, words and their meanings. */
export interface Detail {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}
const KEYS = ['key', 'value', 'what'] as const;

const COSTS_FILE = 'costs.yaml';

/** The file form of costs: some of COST_KEYS. */
export type CostsSpec = Readonly<Record<string, Cost>>;

/** A policy by name, from a YAML file, or from an object in the form of one. */
export function loadPolicy(given: string | PolicySpec): Policy {
  const { spec, halves } = readPolicy(given, []);
  return policyOf(spec, halves, placeOf('policies', given));
}

/** The file form of a policy, and its halves with what it extends filled in. */
function readPolicy(given: string | PolicySpec, chain: readonly string[]): { spec: PolicySpec; halves: Halves } {
  checkChain(given, chain);
  const place = placeOf('policies', given);
  const spec =
    typeof given === 'string'
      ? parseFile<PolicySpec>(textOf('policies', given), policyShape, place)
      : shaped<PolicySpec>(given, policyShape, place);
  const base =
    spec.extends === undefined ? {} : readPolicy(namedFrom(given, spec.extends), [...chain, labelOf(given)]).halves;
  return { spec, halves: halvesOf(spec, base, place) };
}

/** The prices of the catalog or, over them, those of a YAML file or of an object in the form of one. */
export function loadCosts(given?: string | CostsSpec): Costs {
  const shipped = costsOf(parseFile<Record<string, Cost>>(shippedCosts, costsShape, COSTS_FILE), COSTS_FILE);
  if (given === undefined) return shipped;
  if (typeof given !== 'string') return costsOf(shaped<CostsSpec>(given, costsShape, 'costs'), 'costs', shipped);
  return costsOf(parseFile<CostsSpec>(readText(given, given), costsShape, given), given, shipped);
}

/** Costs as the text of a file for `--costs`. */
export function costsYaml(costs: Readonly<Partial<Record<CostKey, Cost>>>): string {
  return yaml().stringify(costs, { lineWidth: 100 });
}

/** The policies there are. */
export function listPolicies(): CatalogRow[] {
  return namesOn('policies').map((name) => {
    const policy = loadPolicy(name);
    return { name, family: familiesOf(policy).join('+'), title: policy.title, source: policy.source };
  });
}

/** The machines there are. */
export function listMachines(): CatalogRow[] {
  return namesOn('machines').map((name) => {
    const { family, title, source } = loadMachine(name);
    return { name, family, title, source };
  });
}

/** The CPUs that a machine can have. */
export function listCpus(): CatalogRow[] {
  return namesOn('cpus').map((name) => {
    const { title, source } = loadCpu(name);
    return { name, family: 'cpu', title, source };
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

/** The kernel paths there are, each with who keeps the page and when another one can take its place. */
export function listPaths(): PathRow[] {
  return PATH_NAMES.map((name) => {
    const { title, kernel: source, locks, last, newPage, stale } = PATHS[name];
    return { name, family: 'mm', title, source, locks, last, newPage, stale };
  });
}

/** Rows of one kind. */
export function listCatalog(kind: CatalogKind): CatalogRow[] {
  return { policies: listPolicies, machines: listMachines, cpus: listCpus, costs: listCosts, paths: listPaths }[kind]();
}

/** One thing in full: the steps of a policy, the keys of a machine, a price, a path with the words of step lists. */
export function describe(kind: CatalogKind, name: string): Detail {
  switch (kind) {
    case 'policies':
      return describePolicy(loadPolicy(name));
    case 'machines': {
      const machine = loadMachine(name);
      const rows = [...machineKeys(machine)].map(([key, value]) => [
        `machine.${key}`,
        value,
        fieldNote('machine', key),
      ]);
      const also = machine.also?.map(({ name }) => name).join(' ');
      return {
        columns: KEYS,
        rows: also === undefined ? rows : [...rows, ['also', also, fieldNote('machine', 'also')]],
      };
    }
    case 'cpus': {
      const keys = [...keysOf(cpuSpec(name))];
      return { columns: KEYS, rows: keys.map(([key, value]) => [key, value, fieldNote('cpu', key)]) };
    }
    case 'costs': {
      const { default: value, low, high, confidence, note, source } = loadCosts()[knownCost(name)];
      const range = `${value} ns (${low}..${high}, ${confidence})`;
      return { columns: KEYS, rows: [[`cost.${name}`, range, `${note}; ${source}`]] };
    }
    case 'paths':
      return describePath(knownPath(name));
  }
}

const FULL_GATHER = '[ ]';
const WHEN_FULL =
  'what is in brackets is for a hold that ends because the mmu_gather is full, and is of all that is in it';

function describePolicy({ mm, dma }: Policy): Detail {
  if (mm === undefined)
    return { columns: KEYS, rows: Object.entries(dma ?? {}).map(([key, value]) => [`dma ${key}`, String(value), '']) };
  const rows = PATH_NAMES.map((path) => {
    const list = mm.paths[path];
    const release = list.kernel === null ? 'what-if' : `Linux ${list.kernel}`;
    const source = list.source ?? `${PATHS[path].kernel} (${release})`;
    return [path, list.text, heldSteps(list).map(stepText).join(' '), source];
  });
  const half = Object.entries(dma ?? {}).map(([key, value]) => [`dma ${key}`, String(value), '', '']);
  const room = [FULL_GATHER, `${mm.gather} pages`, '', 'include/asm-generic/tlb.h MAX_GATHER_BATCH_COUNT'];
  return { columns: ['path', 'steps', 'page-table lock held', 'kernel'], rows: [...rows, room, ...half] };
}

function describePath(path: PathName): Detail {
  const { kind, title, kernel, locks, last, newPage, stale, needs } = PATHS[path];
  const lists = listPolicies().flatMap(({ name }) => {
    const list = loadPolicy(name).mm?.paths[path];
    return list === undefined ? [] : [[name, list.text, list.source ?? 'what-if']];
  });
  const words = Object.entries({ ...STEPS, ...NOTES }).map(([word, note]) => ['step', word, note]);
  return {
    columns: KEYS,
    rows: [
      ['path', title, ''],
      ['kind', kind, PATH_KINDS[kind]],
      ['kernel', kernel, ''],
      ['locks', locks, 'besides the page-table lock'],
      ['last reference', last, 'whose it is while old translations may still be in use'],
      ['different page', newPage, 'whether a fault of another thread can install one before the list is over'],
      ['stale entry', stale, 'what its use means after it should be gone'],
      ['needs', needs.join(' '), 'steps that every list of the path has'],
      ...lists,
      ...(lists.some(([, text]) => text!.includes('[')) ? [['step', FULL_GATHER, WHEN_FULL]] : []),
      ...words,
      ...Object.entries(PTE_STATES).map(([state, note]) => ['step', `PS(${state})`, note]),
    ],
  };
}

/** What there is to copy and edit, as YAML: the file with its comments, or without a name the whole of costs or paths. */
export function catalogYaml(kind: CatalogKind, name?: string): string {
  if (kind === 'costs') {
    if (name === undefined) return shippedCosts;
    return yaml().stringify({ [name]: loadCosts()[knownCost(name)] }, { lineWidth: 100 });
  }
  if (kind === 'paths')
    return yaml().stringify(name === undefined ? PATHS : { [name]: PATHS[knownPath(name)] }, { lineWidth: 100 });
  if (name === undefined)
    throw new UsageError(`list ${kind} --yaml: expected a name, one of ${namesOn(kind).join(', ')}`);
  return textOf(kind, name);
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
