import { describe, expect, test } from 'vitest';
import { loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { withSetting } from '../catalog/settings.ts';
import { paidCosts } from '../engine/encode.ts';
import { hears, SHARED_TABLE } from './consumer.ts';
import { consumerOf, machineOf, machineSpec } from './machine.ts';
import { flatSteps } from './policy.ts';

const set = (name: string, setting: string) => withSetting(loadMachine(name), setting);

test.each([
  ['amd-v2', 'consumer.retry=any', 'consumer.retry: read "any", expected none with a shared table'],
  ['kvm', 'consumer.invalidate=if-present', 'consumer.invalidate: read "if-present", expected flush'],
  ['kvm', 'driver.deferral=true', 'driver.deferral: read true, expected false with a table of its own'],
  ['amd-v2', 'consumer.flushes_by=ipi', 'iommu.commands: read "amd", expected vtd'],
  ['kvm', 'consumer.retry=never', 'consumer.retry: read "never", expected one of none, any, overlap'],
  ['intel-vtd', 'consumer.retry=any', 'no such key of machine intel-vtd'],
])('%s with %s is refused', (name, setting, message) => {
  expect(() => set(name, `machine.${setting}`)).toThrow(message);
});

test('a machine of the DMA API that says how it hears of mmu_notifiers is refused', () => {
  const { consumer } = machineSpec(loadMachine('kvm'));
  expect(() => machineOf({ ...machineSpec(loadMachine('intel-vtd')), consumer: consumer! }, 'x.yaml')).toThrow(
    'x.yaml: consumer: read a group, expected none in a machine of family dma',
  );
});

test('a file that says nothing of it is an IOMMU that shares the table', () => {
  expect(loadMachine('amd-v2').consumer).toEqual(SHARED_TABLE);
});

describe('callbacks by generation', () => {
  const told = (machine: string, policy: string, path: 'reclaim_swap' | 'cow') => {
    const consumer = consumerOf(loadMachine(machine));
    const steps = flatSteps(loadPolicy(policy).mm!.paths[path]).map(({ word }) => word);
    const callbacks = steps.filter((word) => ['SI', 'SI*', 'IP', 'RE!'].includes(word) && hears(consumer, word));
    return [...(steps.includes('RS') && consumer.start === 'zap' ? ['start'] : []), ...callbacks].join(' ');
  };
  test.each([
    ['kvm', 'linux-4.10', 'IP', 'start'],
    ['kvm', 'linux-4.12', 'IP', 'start'],
    ['kvm', 'linux-4.14', 'start', 'start'],
    ['kvm', 'linux-6.6', 'start', 'start'],
    ['amd-v2', 'linux-4.12', 'IP', 'SI RE!'],
    ['amd-v2', 'linux-4.14', 'SI RE!', 'SI RE!'],
    ['amd-v2', 'linux-6.6', 'SI*', 'SI'],
    ['conditional-shadow', 'linux-4.15', 'start SI RE!', 'start SI'],
  ])('%s under %s: reclaim %s, COW %s', (machine, policy, reclaim, cow) => {
    expect([told(machine, policy, 'reclaim_swap'), told(machine, policy, 'cow')]).toEqual([reclaim, cow]);
  });
});

test('prices are those of what does the flush', () => {
  const paid = (name: string) => paidCosts(loadMachine(name));
  expect(paid('kvm')).toContain('cpu.ipi_first');
  expect(paid('kvm').filter((key) => /^(qi|amd)\./.test(key))).toEqual([]);
  expect(paid('rdma-odp')).toContain('qi.submit');
  expect(paid('rdma-odp')).not.toContain('qi.wait');
});
