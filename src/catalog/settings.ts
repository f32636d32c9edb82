/** `--set machine.KEY=V`, `--set cost.KEY=V` and `--set policy.KEY=V`: changed copies, checked as if they had been read from a file. */
import costsShape from '../../build/validators/costs.js';
import machineShape from '../../build/validators/machine.js';
import policyShape from '../../build/validators/policy.js';
import { withConsumers } from '../model/consumers.ts';
import type { Cost, Costs } from '../model/cost.ts';
import { COST_KEYS, costsOf, isCostKey } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import { type Machine, type MachineSpec, machineOf, machineSpec } from '../model/machine.ts';
import { nearText, quote } from '../model/near.ts';
import type { LazyUnmap, Policy } from '../model/policy.ts';
import { checkShape } from './file.ts';
import { cpuSpec } from './machines.ts';

/** What a setting changes. */
export type SettingKind = 'machine' | 'cost' | 'policy';

/** Fields of a machine that say what it is, not how it works. */
const FIXED = new Set(['name', 'family', 'title', 'source']);

/** Keys of a machine that a setting takes, such as `device.outstanding`, with their values as text. */
export function machineKeys({ also: _, ...machine }: Machine): Map<string, string> {
  const fields = Object.entries(machineSpec(machine)).filter(([key]) => !FIXED.has(key));
  return keysOf(Object.fromEntries(fields));
}

/** Keys of a group and of those in it, with their values as text. */
export function keysOf(group: MachineSpec, before = ''): Map<string, string> {
  return new Map(
    Object.entries(group).flatMap(([key, value]): [string, string][] =>
      typeof value === 'object' ? [...keysOf(value, `${before}${key}.`)] : [[`${before}${key}`, String(value)]],
    ),
  );
}

/** Which of the two a setting is for. */
export function settingKind(setting: string): SettingKind {
  return split(setting).kind;
}

function split(setting: string): { kind: SettingKind; key: string; value: string; place: string } {
  const match = /^(machine|cost|policy)\.([^=]+)=(.*)$/s.exec(setting);
  if (match === null) {
    throw new UsageError(
      `--set ${quote(setting)}: expected machine.KEY=VALUE, cost.KEY=VALUE or policy.KEY=VALUE, such as machine.device.outstanding=4`,
    );
  }
  const [, kind, key, value] = match as unknown as [string, SettingKind, string, string];
  return { kind, key: key.trim(), value: value.trim(), place: `--set ${kind}.${key.trim()}` };
}

/** A copy with one setting changed. The setting has to be of the kind of the first argument. */
export function withSetting(machine: Machine, setting: string): Machine;
export function withSetting(costs: Costs, setting: string): Costs;
export function withSetting(target: Machine | Costs, setting: string): Machine | Costs {
  const { kind, key, value, place } = split(setting);
  const isMachine = 'driver' in target;
  if (isMachine !== (kind === 'machine'))
    throw new UsageError(`${place}: is not a setting of ${isMachine ? 'a machine' : 'costs'}`);
  return isMachine ? setMachine(target as Machine, key, value, place) : setCost(target as Costs, key, value, place);
}

/** Keys of a policy that a setting takes: numbers of its half for the DMA API. */
const POLICY_KEYS = { 'dma.queue_size': 'queueSize', 'dma.timeout_ms': 'timeoutMs' } as const;

/** Whether a setting changes this policy: `strict` has no queue. */
export function changesPolicy(policy: Policy, setting: string): boolean {
  const field = policyField(split(setting));
  return policy.dma !== undefined && Object.hasOwn(policy.dma, field);
}

/** Copies of policies with one setting changed; those that have no such key stay as they are, but one has to have it. */
export function withPolicySetting(policies: readonly Policy[], setting: string): Policy[] {
  const { value, place, ...rest } = split(setting);
  const field = policyField({ place, ...rest });
  if (!policies.some((policy) => changesPolicy(policy, setting)))
    throw new UsageError(`${place}: none of ${policies.map(({ name }) => name).join(', ')} has such a key`);
  return policies.map((policy) => {
    if (!changesPolicy(policy, setting)) return policy;
    const dma = { ...(policy.dma as LazyUnmap), [field]: typed(value, 0) as number };
    const { name, title, source } = policy;
    const { unmap, queueSize, timeoutMs, queues, flush } = dma;
    const spec = { unmap, queue_size: queueSize, timeout_ms: timeoutMs, queues, flush };
    checkShape({ name, title, source, dma: spec }, policyShape, place);
    return { ...policy, dma };
  });
}

function policyField({ key, place }: { readonly key: string; readonly place: string }) {
  if (!Object.hasOwn(POLICY_KEYS, key))
    throw new UsageError(`${place}: no such key of a policy; keys are ${Object.keys(POLICY_KEYS).join(', ')}`);
  return POLICY_KEYS[key as keyof typeof POLICY_KEYS];
}

function setMachine({ also = [], ...machine }: Machine, key: string, value: string, place: string): Machine {
  return withConsumers(setOne(machine, key, value, place), also, place);
}

/** The same of a machine by itself: consumers beside it are set in their own files. */
function setOne(machine: Machine, key: string, value: string, place: string): Machine {
  if (key === 'cpu') return machineOf({ ...machineSpec(machine), cpu: cpuSpec(value) }, place);
  const keys = machineKeys(machine);
  const before = keys.get(key);
  if (before === undefined) {
    const inside = [...keys.keys()].filter((known) => known.startsWith(`${key}.`)).sort();
    const near = inside.length > 0 ? `; keys in it: ${inside.join(', ')}` : nearText(key, [...keys.keys()]);
    throw new UsageError(`${place}: no such key of machine ${machine.name}${near}`);
  }
  const changed = replace(machineSpec(machine), key.split('.'), value);
  checkShape(changed, machineShape, place);
  return machineOf(changed, place);
}

/** A copy of a group with one field replaced, of the type it had. */
function replace(group: MachineSpec, [head, ...rest]: string[], text: string): MachineSpec {
  const value = group[head!]!;
  return { ...group, [head!]: typeof value === 'object' ? replace(value, rest, text) : typed(text, value) };
}

/** Text as the type that a field has; what does not fit stays text, for the schema to refuse. */
function typed(text: string, before: string | number | boolean): string | number | boolean {
  if (typeof before === 'number' && /^(0x[\da-f]+|-?\d+(\.\d+)?(e\d+)?)$/i.test(text)) return Number(text);
  if (typeof before === 'boolean')
    return text === 'true' || text === 'on' ? true : text === 'false' || text === 'off' ? false : text;
  return text;
}

function setCost(costs: Costs, key: string, text: string, place: string): Costs {
  if (!isCostKey(key)) throw new UsageError(`${place}: no such cost${nearText(key, COST_KEYS)}`);
  const value = typed(text, 0);
  const cost: Cost = {
    ...costs[key],
    default: value as number,
    low: value as number,
    high: value as number,
    source: `set to ${text} ns`,
    confidence: 'given',
  };
  checkShape({ [key]: { ...cost, confidence: 'assumed' } }, costsShape, place);
  return costsOf({ [key]: cost }, place, costs);
}
