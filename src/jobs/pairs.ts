import {
  type CostsSpec,
  changesPolicy,
  listMachines,
  listPolicies,
  loadCosts,
  loadMachine,
  loadPolicy,
  settingKind,
  withPolicySetting,
  withSetting,
} from '../catalog/catalog.ts';
import { labelOf, type Named } from '../catalog/shelf.ts';
import type { Costs } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine, MachineSpec } from '../model/machine.ts';
import { quote } from '../model/near.ts';
import { type Family, familiesOf, type Policy, type PolicySpec } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';

/** A policy on a machine: one row. */
export interface Pair {
  readonly policy: Policy;
  readonly machine: Machine;
  /** As the request names them: by name or by file; and of its settings those that change this row. */
  readonly given: { readonly policy: string; readonly machine: string; readonly settings: readonly string[] };
}

/** A pair that `all` left out. */
export interface Skipped {
  readonly policy: string;
  readonly machine: string;
  readonly why: string;
}

/** Policies and machines, each a name, the path of a YAML file or an object in its form, and what is changed about them. */
export interface PairRequest {
  /** `all`: every one of the catalog that fits the trace. Not given: what follows from the trace. */
  readonly policies?: readonly (string | PolicySpec)[] | undefined;
  readonly machines?: readonly (string | MachineSpec)[] | undefined;
  /** Path of a YAML file of costs, or an object in its form, over the default ones. */
  readonly costs?: string | CostsSpec | undefined;
  /** Like `machine.device.outstanding=4` or `cost.qi.wait=900`. */
  readonly settings?: readonly string[] | undefined;
}

/** The word that stands for the whole catalog. */
const ALL = 'all';

/** Loads what a request names, and pairs it. `family`: what the trace is of. */
export function loadPairs(
  request: PairRequest,
  defaults: { readonly policies: readonly string[]; readonly machines: readonly string[] },
  family: Family,
) {
  const changes = (kind: string) => (request.settings ?? []).filter((setting) => settingKind(setting) === kind);
  const costs = changes('cost').reduce<Costs>(withSetting, loadCosts(request.costs));
  const { policies = defaults.policies, machines = defaults.machines } = request;
  const lenient = policies.includes(ALL) || machines.includes(ALL);
  const all = (rows: readonly { readonly name: string }[]): readonly string[] => rows.map(({ name }) => name);
  const loaded = labelled(machines.includes(ALL) ? all(listMachines()) : machines, (given) =>
    given.map((one) => changes('machine').reduce<Machine>(withSetting, loadMachine(one))),
  );
  const lists = labelled(policies.includes(ALL) ? all(listPolicies()) : policies, (given) =>
    changes('policy').reduce<Policy[]>(withPolicySetting, given.map(loadPolicy)),
  );
  return { costs, machines: [...loaded.values()], ...pairsOf(lists, loaded, request.settings ?? [], family, lenient) };
}

/** What `load` makes of names and objects, by what they are given as. Results are told apart by the names inside. */
function labelled<Given extends string | Named, T extends { readonly name: string }>(
  given: readonly Given[],
  load: (given: readonly Given[]) => readonly T[],
): Map<string, T> {
  const labels = given.map(labelOf);
  const twice = labels.find((label, i) => labels.indexOf(label) < i);
  if (twice !== undefined) throw new UsageError(`${twice} is given twice`);
  const loaded = load(given);
  const names = loaded.map(({ name }) => name);
  const again = names.findIndex((name, i) => names.indexOf(name) < i);
  if (again >= 0) {
    const both = `${labels[names.indexOf(names[again]!)]} and ${labels[again]}`;
    throw new UsageError(`${both} are both named ${quote(names[again]!)}, expected a name of its own for each`);
  }
  return new Map(labels.map((label, i) => [label, loaded[i]!]));
}

function pairsOf(
  policies: ReadonlyMap<string, Policy>,
  machines: ReadonlyMap<string, Machine>,
  settings: readonly string[],
  family: Family,
  lenient: boolean,
) {
  const pairs: Pair[] = [];
  const skipped: Skipped[] = [];
  for (const [machineName, machine] of machines) {
    for (const [policyName, policy] of policies) {
      const why = whyNot(policy, machine, family);
      const own = settings.filter((setting) => settingKind(setting) !== 'policy' || changesPolicy(policy, setting));
      const given = { policy: policyName, machine: machineName, settings: own };
      if (why === undefined) pairs.push({ policy, machine, given });
      else skipped.push({ policy: policy.name, machine: machine.name, why });
    }
  }
  if (pairs.length === 0 || (skipped.length > 0 && !lenient)) throw new UsageError(skipped[0]!.why);
  return { pairs, skipped };
}

const HAS: Readonly<Record<Family, string>> = { mm: 'an address space', dma: 'DMA mappings' };

function whyNot(policy: Policy, machine: Machine, family: Family): string | undefined {
  if (machine.family !== family)
    return `machine ${machine.name} is of family ${machine.family}; this trace has ${HAS[family]} and wants one of family ${family}`;
  const { iotlbFull, iotlbTag, pageDrops } = machine.iommu;
  if (family === 'dma' && (iotlbFull !== 'evict' || iotlbTag !== 'space' || pageDrops !== 'range'))
    return `machine ${machine.name} has an emulator's IOTLB: it is for \`verify recording\``;
  if (policy.dma?.unmap === 'lazy' && policy.dma.flush === 'global' && machine.iommu.commands === 'amd')
    return `policy ${policy.name} flushes all domains by one command, which the driver of machine ${machine.name} does not submit`;
  if (familiesOf(policy).includes(family)) return undefined;
  return `policy ${policy.name} is of family ${familiesOf(policy).join(', ')} and machine ${machine.name} of family ${machine.family}`;
}

/** Policies whose run is the same in every number, on one machine. */
export function sameRuns(pairs: readonly Pair[], runs: readonly RawRun[]): Record<string, string> {
  const same: Record<string, string> = {};
  const texts = runs.map((run) => JSON.stringify(run));
  pairs.forEach(({ policy, machine }, i) => {
    const first = pairs.findIndex((pair, j) => j < i && pair.machine === machine && texts[j] === texts[i]);
    if (first >= 0) same[`${policy.name} on ${machine.name}`] = pairs[first]!.policy.name;
  });
  const differ = pairs.length - Object.keys(same).length;
  const machines = new Set(pairs.map((pair) => pair.machine)).size;
  if (pairs.length > machines && differ === machines) {
    throw new UsageError(
      `${pairs.map((pair) => pair.policy.name).join(', ')} do not differ on anything that happens in this trace`,
    );
  }
  return same;
}
