/** Which devices a machine can have behind its IOMMU. */
import { UsageError } from './errors.ts';
import type { Machine } from './machine.ts';

/** Refuses what does not go together. `place` is the machine's file. */
export function checkDevices(machine: Machine, place: string): void {
  checkPri(machine, place);
  checkCount(machine, place);
}

/** Who can ask for pages: a device of a process whose tables it shares, by translation requests. */
function checkPri({ family, consumer, device, driver, iommu }: Machine, place: string): void {
  const refuse = (key: string, value: number | boolean | string, expected: string): never => {
    throw new UsageError(`${place}: ${key}: read ${value}, expected ${expected}`);
  };
  if (iommu.prq === 1) refuse('iommu.prq', 1, '0 or 2 and more: a slot stays empty');
  if (!iommu.prqAutoResponse && iommu.commands === 'vtd')
    refuse('iommu.prq_auto_response', false, 'true: VT-d always answers what it has dropped');
  if (driver.prqDrain !== 'none' && family === 'dma')
    refuse('driver.prq_drain', driver.prqDrain, 'none in a machine of family dma');
  if (iommu.commands === 'amd' && !['none', 'taken'].includes(driver.prqDrain))
    refuse('driver.prq_drain', driver.prqDrain, 'none or taken: the wait that drains page requests is one of VT-d');
  if (device.priRequests === 0) return;
  if (family === 'dma') refuse('device.pri_requests', device.priRequests, '0 in a machine of family dma');
  if (!device.ats) refuse('device.pri_requests', device.priRequests, '0 without device.ats');
  if (consumer?.table === 'own')
    refuse('device.pri_requests', device.priRequests, '0 with a table of its own, which its own faults fill');
}

/** Where several devices may share an IOMMU. */
function checkCount({ family, driver, device: { count } }: Machine, place: string): void {
  const refuse = (expected: string): never => {
    throw new UsageError(`${place}: device.count: read ${count}, expected ${expected}`);
  };
  if (family === 'dma' && driver.perDevice !== 'device_tlb')
    throw new UsageError(
      `${place}: driver.per_device: read ${driver.perDevice}, expected device_tlb in a machine of family dma`,
    );
  if (count === 1) return;
  if (family === 'dma') refuse('1 in a machine of family dma: the recording has its devices');
}
