/** Machines and the CPUs that they name. A machine file may build on another, and name its CPU. */
import cpuShape from '../../build/validators/cpu.js';
import machineShape from '../../build/validators/machine.js';
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

/** A machine by name, from a YAML file, or from an object in the form of one. */
export function loadMachine(given: string | MachineSpec): Machine {
  const place = placeOf('machines', given);
  const spec = readMachine(given, []);
  checkShape(spec, machineShape, place);
  return machineOf(spec as MachineSpec, place);
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
  const named = typeof own.cpu === 'string' ? { ...own, cpu: cpuSpec(namedFrom(given, own.cpu)) } : own;
  if (typeof own.extends !== 'string') return named;
  const base = readMachine(namedFrom(given, own.extends), [...chain, labelOf(given)]);
  // What a machine is, each says for itself.
  const { extends: _, ...rest } = named;
  const { name: _name, title: _title, source: _source, ...inherited } = isGroup(base) ? base : {};
  const whole = typeof own.cpu === 'string' ? { ...inherited, cpu: {} } : inherited;
  return merged(whole, rest);
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
