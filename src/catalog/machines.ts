/** Machines and the CPUs that they name. A machine file may build on another, and name its CPU. */
import cpuShape from '../../build/validators/cpu.js';
import machineShape from '../../build/validators/machine.js';
import { withConsumers } from '../model/consumers.ts';
import { UsageError } from '../model/errors.ts';
import { type Cpu, cpuOf, type Machine, type MachineSpec, machineOf } from '../model/machine.ts';
import { checkShape, parseFile, parseYaml } from './file.ts';
import { checkChain, labelOf, namedFrom, placeOf, textOf } from './shelf.ts';

/** A CPU that machines can have, checked. */
export interface CpuPart {
  readonly name: string;
  /** One line. */
  readonly title: string;
  readonly source: string;
  readonly cpu: Cpu;
}

/** A machine by name, from a YAML file, or from an object in the form of one; with the consumers that it names. */
export function loadMachine(given: string | MachineSpec): Machine {
  const place = placeOf('machines', given);
  const { machine, also } = readOne(given);
  const others = also.map((name) => {
    const other = readOne(name);
    if (other.also.length > 0)
      throw new UsageError(`${place}: also: read ${name}, which has consumers of its own, expected machines with one`);
    return other.machine;
  });
  return withConsumers(machine, others, place);
}

function readOne(given: string | MachineSpec): { readonly machine: Machine; readonly also: readonly string[] } {
  const place = placeOf('machines', given);
  const whole = readMachine(given, []);
  checkShape(whole, machineShape, place);
  const { also = [], ...spec } = whole as { readonly also?: readonly string[] };
  return { machine: machineOf(spec as MachineSpec, place), also };
}

/** A CPU by name or from a YAML file. */
export function loadCpu(nameOrPath: string): CpuPart {
  const { name, title, source, ...spec } = readCpu(nameOrPath);
  return { name, title, source, cpu: cpuOf(spec, placeOf('cpus', nameOrPath)) };
}

/** The group `cpu` of a machine that has the CPU of this name or file. */
export function cpuSpec(nameOrPath: string): MachineSpec {
  const { name: _, title: _title, source: _source, ...spec } = readCpu(nameOrPath);
  cpuOf(spec, placeOf('cpus', nameOrPath));
  return spec;
}

interface CpuFile extends MachineSpec {
  readonly name: string;
  readonly title: string;
  readonly source: string;
}

function readCpu(nameOrPath: string): CpuFile {
  return parseFile<CpuFile>(textOf('cpus', nameOrPath), cpuShape, placeOf('cpus', nameOrPath));
}

/** A machine file with what it extends and the CPU that it names filled in; its shape is not checked yet. */
function readMachine(given: string | MachineSpec, chain: readonly string[]): unknown {
  checkChain(given, chain);
  const own = typeof given === 'string' ? parseYaml(textOf('machines', given), placeOf('machines', given)) : given;
  if (!isGroup(own)) return own;
  const cpu = typeof own.cpu === 'string' ? { cpu: cpuSpec(namedFrom(given, own.cpu)) } : {};
  const also = Array.isArray(own.also) ? { also: own.also.map((name) => seenFrom(given, name)) } : {};
  const named: Group = { ...own, ...cpu, ...also };
  if (typeof own.extends !== 'string') return named;
  const base = readMachine(namedFrom(given, own.extends), [...chain, labelOf(given)]);
  // What a machine is, each says for itself.
  const { extends: _, ...rest } = named;
  const { name: _name, title: _title, source: _source, ...inherited } = isGroup(base) ? base : {};
  const whole = typeof own.cpu === 'string' ? { ...inherited, cpu: {} } : inherited;
  return merged(whole, rest);
}

/** A machine that a file names, if it is one; what else is in its place the schema refuses. */
function seenFrom(given: string | MachineSpec, name: unknown): unknown {
  return typeof name === 'string' ? namedFrom(given, name) : name;
}

type Group = Readonly<Record<string, unknown>>;
const isGroup = (value: unknown): value is Group =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Fields of `over` in place of those of `base`, group by group. */
function merged(base: Group, over: Group): Group {
  const fields = Object.entries(over).map(([key, value]) => {
    const before = Object.hasOwn(base, key) ? base[key] : undefined;
    return [key, isGroup(value) && isGroup(before) ? merged(before, value) : value];
  });
  return { ...base, ...Object.fromEntries(fields) };
}
