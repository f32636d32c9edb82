/** Several consumers on one address space. */
import { UsageError } from './errors.ts';
import type { HazardName } from './hazard.ts';
import type { Machine } from './machine.ts';

/** Consumers of one address space at most: assembly/bank.ts MAX_CONSUMERS. */
export const MAX_CONSUMERS = 8;

/**
 * The consumers of a machine's address space in the order in which mmu_notifiers call them (Linux mm/mmu_notifier.c
 * mn_hlist_invalidate_range_start), each as a machine with the CPUs of the first.
 */
export function consumersOf({ also = [], ...first }: Machine): readonly Machine[] {
  const { cpu, hz } = first;
  const ofKernel = first.hazards.filter((name) => OF_THE_KERNEL.has(name));
  return [
    first,
    ...also.map((other) => {
      const own = other.hazards.filter((name) => !OF_THE_KERNEL.has(name));
      return { ...other, cpu, hz, hazards: [...own, ...ofKernel] };
    }),
  ];
}
/** Hazards that are of the kernel of all consumers. */
const OF_THE_KERNEL: ReadonlySet<HazardName> = new Set(['no-caller-ref']);

/** Whether several devices use the machine's address space: those of further consumers, or behind one IOMMU. */
export function hasSeveralDevices({ also = [], device }: Machine): boolean {
  return also.length > 0 || device.count > 1;
}

/** A machine whose address space others use, too. `place` is its file. */
export function withConsumers(machine: Machine, also: readonly Machine[], place: string): Machine {
  const refuse = (read: string, expected: string): never => {
    throw new UsageError(`${place}: also: read ${read}, expected ${expected}`);
  };
  if (also.length === 0) return machine;
  if (machine.family === 'dma') refuse('a list', 'none in a machine of family dma');
  if (also.length >= MAX_CONSUMERS) refuse(`${also.length} machines`, `at most ${MAX_CONSUMERS - 1}`);
  const names = new Set([machine.name]);
  for (const { name, family, iommu } of also) {
    if (family === 'dma') refuse(name, 'machines of family mm');
    if (names.has(name)) refuse(`${name} once more`, 'each name once');
    if (iommu.levels !== machine.iommu.levels)
      refuse(`${name} with iommu.levels ${iommu.levels}`, `${machine.iommu.levels} as ${machine.name} has`);
    names.add(name);
  }
  return { ...machine, also };
}
