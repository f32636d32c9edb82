import {
  listMachines,
  listPolicies,
  loadCosts,
  loadMachine,
  loadPolicy,
  settingKind,
  withPolicySetting,
  withSetting,
} from '../catalog/catalog.ts';
import type { Costs } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine } from '../model/machine.ts';
import { type Family, familiesOf, type Policy } from '../model/policy.ts';
import type { RawRun } from '../model/result.ts';

/** A policy on a machine: one row. */
export interface Pair {
  readonly policy: Policy;
  readonly machine: Machine;
  /** As the request names them: by name or by file. */
  readonly given: { readonly policy: string; readonly machine: string };
}

/** A pair that `all` left out. */
export interface Skipped {
  readonly policy: string;
  readonly machine: string;
  readonly why: string;
}

/** Names of policies and machines, and what the user changes about costs and machines. */
export interface PairRequest {
  /** `all`: every one of the catalog that fits the trace. Not given: what follows from the trace. */
  readonly policies?: readonly string[] | undefined;
  readonly machines?: readonly string[] | undefined;
  readonly costs?: string | undefined;
  readonly settings: readonly string[];
}

/** The word that stands for the whole catalog. */
const ALL = 'all';

/** Loads what a request names, and pairs it. `family`: what the trace is of. */
export function loadPairs(
  request: PairRequest,
  defaults: { readonly policies: readonly string[]; readonly machines: readonly string[] },
  family: Family,
) {
  const changes = (kind: string) => request.settings.filter((setting) => settingKind(setting) === kind);
  const costs = changes('cost').reduce<Costs>(withSetting, loadCosts(request.costs));
  const { policies = defaults.policies, machines = defaults.machines } = request;
  const lenient = policies.includes(ALL) || machines.includes(ALL);
  const names = (given: readonly string[], kind: 'policies' | 'machines'): readonly string[] =>
    given.includes(ALL) ? (kind === 'policies' ? listPolicies() : listMachines()).map(({ name }) => name) : given;
  const loaded = new Map(
    names(machines, 'machines').map((name) => [
      name,
      changes('machine').reduce<Machine>(withSetting, loadMachine(name)),
    ]),
  );
  const given = names(policies, 'policies');
  const changed = changes('policy').reduce<Policy[]>(withPolicySetting, given.map(loadPolicy));
  const lists = new Map(given.map((name, i) => [name, changed[i]!]));
  return { costs, machines: [...loaded.values()], ...pairsOf(lists, loaded, family, lenient) };
}

function pairsOf(
  policies: ReadonlyMap<string, Policy>,
  machines: ReadonlyMap<string, Machine>,
  family: Family,
  lenient: boolean,
) {
  const pairs: Pair[] = [];
  const skipped: Skipped[] = [];
  for (const [machineName, machine] of machines) {
    for (const [policyName, policy] of policies) {
      const why = whyNot(policy, machine, family);
      if (why === undefined) pairs.push({ policy, machine, given: { policy: policyName, machine: machineName } });
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
