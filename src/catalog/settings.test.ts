import { expect, test } from 'vitest';
import { complaintOf } from '../../testing/complaint.ts';
import { loadCosts, loadMachine, loadPolicy, settingKind, withPolicySetting, withSetting } from './catalog.ts';

const amd = loadMachine('amd-v2');
const costs = loadCosts();

// name               action                                                 error
const WRONG: [string, () => unknown, string][] = [
  [
    'nothing',
    () => settingKind('outstanding=4'),
    '--set "outstanding=4": expected machine.KEY=VALUE, cost.KEY=VALUE or policy.KEY=VALUE',
  ],
  ['no value', () => settingKind('machine.hz'), '--set "machine.hz": expected machine.KEY=VALUE'],
  [
    'policy key',
    () => withPolicySetting([loadPolicy('lazy')], 'policy.dma.queue_sizes=4'),
    '--set policy.dma.queue_sizes: no such key of a policy; keys are dma.queue_size, dma.timeout_ms',
  ],
  [
    'key of no policy',
    () => withPolicySetting([loadPolicy('strict')], 'policy.dma.queue_size=4'),
    '--set policy.dma.queue_size: none of strict has such a key',
  ],
  [
    'policy value',
    () => withPolicySetting([loadPolicy('lazy')], 'policy.dma.queue_size=1'),
    '--set policy.dma.queue_size: dma.queue_size: read 1, expected >= 2',
  ],
  ['wrong kind', () => withSetting(amd, 'cost.qi.wait=1'), '--set cost.qi.wait: is not a setting of a machine'],
  ['wrong kind of costs', () => withSetting(costs, 'machine.hz=1'), '--set machine.hz: is not a setting of costs'],
  [
    'key',
    () => withSetting(amd, 'machine.device.outstandin=4'),
    '--set machine.device.outstandin: no such key of machine amd-v2; near: device.outstanding',
  ],
  [
    'last word',
    () => withSetting(amd, 'machine.outstanding=4'),
    '--set machine.outstanding: no such key of machine amd-v2; near: device.outstanding',
  ],
  ['CPU', () => withSetting(amd, 'machine.cpu=zem4'), 'no CPU "zem4"; near: zen4'],
  [
    'group',
    () => withSetting(amd, 'machine.device=4'),
    '--set machine.device: no such key of machine amd-v2; keys in it: device.atc_on_idle, ',
  ],
  ['name', () => withSetting(amd, 'machine.name=x'), '--set machine.name: no such key of machine amd-v2'],
  ['prototype', () => withSetting(amd, 'machine.__proto__.x=1'), '--set machine.__proto__.x: no such key'],
  [
    'text',
    () => withSetting(amd, 'machine.device.outstanding=x'),
    '--set machine.device.outstanding: device.outstanding: read "x", expected an integer',
  ],
  [
    'range',
    () => withSetting(amd, 'machine.device.itags=64'),
    '--set machine.device.itags: device.itags: read 64, expected <= 32',
  ],
  [
    'word',
    () => withSetting(amd, 'machine.device.atc_on_idle=dorp'),
    '--set machine.device.atc_on_idle: device.atc_on_idle: read "dorp", expected one of keep, drop',
  ],
  [
    'iova of mm',
    () => withSetting(amd, 'machine.iova.magazine=1'),
    '--set machine.iova.magazine: no such key of machine amd-v2',
  ],
  ['cost key', () => withSetting(costs, 'cost.qi.wiat=1'), '--set cost.qi.wiat: no such cost; near: qi.wait'],
  [
    'cost text',
    () => withSetting(costs, 'cost.qi.wait=1us'),
    '--set cost.qi.wait: qi.wait.default: read "1us", expected a number',
  ],
  [
    'cost negative',
    () => withSetting(costs, 'cost.qi.wait=-1'),
    '--set cost.qi.wait: qi.wait.default: read -1, expected >= 0',
  ],
  [
    'a device that asks at once again',
    () => withSetting(costs, 'cost.device.pri_backoff=0'),
    '--set cost.device.pri_backoff: device.pri_backoff: read 0, expected 100 or more',
  ],
  [
    'page requests without ATS',
    () => withSetting(withSetting(amd, 'machine.device.ats=off'), 'machine.device.pri_requests=1'),
    '--set machine.device.pri_requests: device.pri_requests: read 1, expected 0 without device.ats',
  ],
  [
    'page requests of a DMA machine',
    () => withSetting(loadMachine('amd-vi'), 'machine.device.pri_requests=1'),
    '--set machine.device.pri_requests: device.pri_requests: read 1, expected 0 in a machine of family dma',
  ],
  [
    'page requests with a table of its own',
    () => withSetting(loadMachine('rdma-odp'), 'machine.device.pri_requests=1'),
    '--set machine.device.pri_requests: device.pri_requests: read 1, expected 0 with',
  ],
  [
    'page request queue of one slot',
    () => withSetting(amd, 'machine.iommu.prq=1'),
    '--set machine.iommu.prq: iommu.prq: read 1, expected 0 or 2 and more',
  ],
  [
    'VT-d that does not answer what it drops',
    () => withSetting(loadMachine('intel-sva'), 'machine.iommu.prq_auto_response=false'),
    '--set machine.iommu.prq_auto_response: iommu.prq_auto_response: read false, expected true: VT-d',
  ],
  [
    'a wait with PD on AMD',
    () => withSetting(amd, 'machine.driver.prq_drain=poll-then-wait'),
    '--set machine.driver.prq_drain: driver.prq_drain: read poll-then-wait, expected none or taken',
  ],
  [
    'page requests of the DMA API that are drained',
    () => withSetting(loadMachine('amd-vi'), 'machine.driver.prq_drain=taken'),
    '--set machine.driver.prq_drain: driver.prq_drain: read taken, expected none in a machine of family dma',
  ],
];

for (const [name, action, expected] of WRONG) {
  test(`--set: ${name}`, () => expect(complaintOf(action).slice(0, expected.length)).toBe(expected));
}

test('a setting changes a copy', () => {
  const set = withSetting(amd, 'machine.device.outstanding=4');
  expect([set.device.outstanding, amd.device.outstanding]).toEqual([4, 16]);
  expect({ ...set, device: amd.device }).toEqual(amd);
  expect(withSetting(amd, 'machine.device.ats=off').device.ats).toBe(false);
  expect(withSetting(amd, 'machine.iommu.iotlb=32x4').iommu.iotlb).toEqual({ sets: 32, ways: 4, replacement: 'lru' });
  expect(withSetting(amd, 'machine.driver.map = iotlb.page wait').driver.map).toEqual(['iotlb.page', 'wait']);
  expect(withSetting(loadMachine('intel-vtd'), 'machine.iova.limit_pfn=0xff').iova!.limitPfn).toBe(255);
  const dear = withSetting(costs, 'cost.qi.wait=500');
  expect(dear['qi.wait']).toMatchObject({ default: 500, low: 500, high: 500, confidence: 'given' });
  expect({ ...dear, 'qi.wait': costs['qi.wait'] }).toEqual(costs);
  expect([settingKind('machine.hz=1'), settingKind('cost.qi.wait=1')]).toEqual(['machine', 'cost']);
});
