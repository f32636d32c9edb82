import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { complaintOf } from '../../testing/complaint.ts';
import { catalogYaml, describe, loadCosts, loadCpu, loadMachine, loadPolicy } from './catalog.ts';

const here = mkdtempSync(join(tmpdir(), 'catalog-'));
afterAll(() => rmSync(here, { recursive: true }));

/** The one line of the UsageError, the temporary folder left out. */
const complaint = (action: () => unknown): string => complaintOf(action).replaceAll(`${here}/`, '');

function file(text: string | Uint8Array): string {
  writeFileSync(join(here, 'x.yaml'), text);
  return join(here, 'x.yaml');
}

const HEAD = 'name: x\ntitle: t\nsource: s\n';
const machine = (from: string | RegExp, to: string): string => catalogYaml('machines', 'amd-vi').replace(from, to);
const cpu = (from: string | RegExp, to: string): string => catalogYaml('cpus', 'zen4').replace(from, to);
const cost = (entry: string): string =>
  `qi.wait: { default: 1, low: 0, high: 2, confidence: assumed, note: n, source: s, ${entry} }`;

// name                 what                  text of the file                       the start of the error
const FILES: [string, 'policy' | 'machine' | 'cpu' | 'costs', string | Uint8Array, string][] = [
  ['empty', 'policy', '', 'x.yaml: read null, expected a group of fields: The order of steps'],
  ['a list', 'policy', '- a\n', 'x.yaml: read ["a"], expected a group of fields'],
  ['no name', 'policy', 'title: t\nsource: s\n', 'x.yaml: name is missing, expected letters, digits'],
  [
    'no source',
    'policy',
    'name: x\ntitle: t\ndma: { unmap: strict }',
    'x.yaml: source is missing, expected where it comes from',
  ],
  [
    'empty source',
    'policy',
    "name: x\ntitle: t\nsource: ''\n",
    'x.yaml: source: read "", expected at least 1 characters: where it comes from',
  ],
  ['bad name', 'policy', 'name: ../x\ntitle: t\nsource: s\n', 'x.yaml: name: read "../x", expected letters, digits'],
  ['name a number', 'policy', 'name: 5\ntitle: t\nsource: s\n', 'x.yaml: name: read 5, expected a string'],
  [
    'unknown field',
    'policy',
    `${HEAD}titel: t\n`,
    'x.yaml: titel: no such field; near: title; fields are name, title, source, extends, kernel, mm, dma',
  ],
  [
    'source of nothing',
    'policy',
    `${HEAD}extends: range-end\nmm: { paths: {}, sources: { cow: mm/memory.c } }`,
    'x.yaml: mm.sources.cow: is of no list of this file, expected paths that mm.paths has',
  ],
  [
    'step list a number',
    'policy',
    `${HEAD}mm: { paths: { cow: 5 } }`,
    'x.yaml: mm.paths.cow: read 5, expected a string: a step list',
  ],
  [
    'step list a flow map',
    'policy',
    `${HEAD}mm: { paths: { cow: { RS } } }`,
    'x.yaml: mm.paths.cow: read {"RS":null}, expected a string',
  ],
  [
    'a bad list',
    'policy',
    `${HEAD}extends: strict\nmm: { paths: { reclaim_swap: 'LK PC' } }`,
    'x.yaml: mm.paths.reclaim_swap: the list ends with the lock',
  ],
  [
    'unmap',
    'policy',
    `${HEAD}dma: { unmap: lasy }`,
    'x.yaml: dma.unmap: read "lasy", expected one of strict, lazy, never',
  ],
  [
    'queue of one',
    'policy',
    `${HEAD}dma: { unmap: lazy, queue_size: 1, timeout_ms: 10 }`,
    'x.yaml: dma.queue_size: read 1, expected >= 2',
  ],
  [
    'no time-out',
    'policy',
    `${HEAD}dma: { unmap: lazy, queue_size: 8, timeout_ms: 0 }`,
    'x.yaml: dma.timeout_ms: read 0, expected > 0',
  ],
  ['neither half', 'policy', HEAD, 'x.yaml: has neither mm nor dma'],
  [
    'extends nothing',
    'policy',
    `${HEAD}extends: stict\n`,
    'no policy "stict"; near: strict; expected one of batched, ',
  ],
  ['extends itself', 'policy', `${HEAD}extends: ./x.yaml\n`, 'x.yaml: extends itself: x.yaml -> x.yaml'],
  [
    'alias',
    'policy',
    'name: &a x\ntitle: *a\nsource: s\n',
    'x.yaml: has an alias (*name), expected values written out',
  ],
  [
    'alias bomb',
    'policy',
    `a: &a [x,x]\n${[...'bcdefghijklm'].map((to, i) => `${to}: &${to} [*${'abcdefghijkl'[i]},*${'abcdefghijkl'[i]}]`).join('\n')}`,
    'x.yaml: has an alias',
  ],
  ['deep brackets', 'policy', '['.repeat(50_000), 'x.yaml:1: is nested too deeply'],
  ['deep braces', 'policy', '{a: '.repeat(10_000), 'x.yaml:1: is nested too deeply'],
  ['deep dashes', 'policy', '- '.repeat(30_000), 'x.yaml:1: is nested too deeply'],
  ['deep, still read', 'policy', `${HEAD}mm: ${'{a: '.repeat(100)}1${'}'.repeat(100)}`, 'x.yaml: mm.paths is missing'],
  ['not closed', 'policy', 'name: x\ntitle: "t\n', 'x.yaml:3: is not YAML: Missing closing "quote'],
  ['twice the same', 'policy', `${HEAD}name: y\n`, 'x.yaml:4: is not YAML: Map keys must be unique'],
  ['two documents', 'policy', `${HEAD}---\n${HEAD}`, 'x.yaml:4: is not YAML: Source contains multiple documents'],
  ['unknown tag', 'policy', 'name: !!js/function x\n', 'x.yaml:1: is not YAML: Unresolved tag'],
  ['not text', 'policy', new Uint8Array([0xff, 0xfe, 0x00]), 'x.yaml: is not UTF-8 text'],
  ['too large', 'policy', `#${'x'.repeat(2 << 20)}`, 'x.yaml: 2097153 bytes, expected at most 65536'],
  ['prototype', 'policy', `${HEAD}__proto__: { dma: { unmap: strict } }`, 'x.yaml: __proto__: no such field'],
  [
    'prototype path',
    'policy',
    `${HEAD}mm: { paths: { __proto__: LK UL } }`,
    'x.yaml: mm.paths.__proto__: no such path',
  ],
  ['constructor', 'policy', `${HEAD}constructor: 1`, 'x.yaml: constructor: no such field'],
  [
    'constructor path',
    'policy',
    `${HEAD}mm: { paths: { constructor: LK UL } }`,
    'x.yaml: mm.paths.constructor: no such path',
  ],
  ['long line of junk', 'policy', `name: ${'y'.repeat(50_000)}\ntitle: t\nsource: s`, 'x.yaml: name: read "yyy'],
  ['consumers, no list', 'machine', `${HEAD}extends: kvm\nalso: xen\n`, 'x.yaml: also: read "xen", expected a'],
  ['consumers, a number', 'machine', `${HEAD}extends: kvm\nalso: [1]\n`, 'x.yaml: also.0: read 1, expected a string'],
  ['consumers, none such', 'machine', `${HEAD}extends: kvm\nalso: [xem]\n`, 'no machine "xem"; near: xen'],
  [
    'consumers, itself',
    'machine',
    `${HEAD}extends: kvm\nalso: [x.yaml]\n`,
    'x.yaml: also: read x.yaml, which has consumers',
  ],
  [
    'consumers, twice',
    'machine',
    `${HEAD}extends: kvm\nalso: [xen, xen]\n`,
    'x.yaml: also: read xen once more, expected',
  ],
  [
    'consumers, nested',
    'machine',
    `${HEAD}extends: kvm\nalso: [intel-sva-kvm]\n`,
    'x.yaml: also: read intel-sva-kvm, which',
  ],
  [
    'consumers, dma',
    'machine',
    `${HEAD}extends: kvm\nalso: [amd-vi]\n`,
    'x.yaml: also: read amd-vi, expected machines of',
  ],
  [
    'consumers of dma',
    'machine',
    `${HEAD}extends: amd-vi\nalso: [kvm]\n`,
    'x.yaml: also: read a list, expected none in a',
  ],
  [
    'devices of dma',
    'machine',
    `${HEAD}extends: amd-vi\ndevice: { count: 2 }\n`,
    'x.yaml: device.count: read 2, expected 1 in a machine of family dma',
  ],
  [
    'a list for each device of dma',
    'machine',
    `${HEAD}extends: amd-vi\ndriver: { per_device: all }\n`,
    'x.yaml: driver.per_device: read all, expected device_tlb in a machine of family dma',
  ],
  [
    'a ring too small for a command to each device',
    'machine',
    `${HEAD}extends: intel-sva-2dev\niommu: { ring: 4 }\n`,
    'x.yaml: iommu.ring: read 4, expected above 4: driver.page submits as many',
  ],
  ['missing group', 'machine', machine(/\ndevice:\n( .*\n)+/, '\n'), 'x.yaml: device is missing, expected the device'],
  [
    'missing field',
    'machine',
    machine(/ {2}itags.*\n/, ''),
    'x.yaml: device.itags is missing, expected ATS invalidations in flight at a time',
  ],
  [
    'misspelt field',
    'machine',
    machine('walkers:', 'walker:'),
    'x.yaml: iommu.walkers is missing, expected walks at a time',
  ],
  [
    'more fields',
    'machine',
    machine('  walkers:', '  walker: 5\n  walkers:'),
    'x.yaml: iommu.walker: no such field; near: walkers',
  ],
  [
    'geometry',
    'machine',
    machine('iotlb: 1x118 lru', 'iotlb: 118'),
    'x.yaml: iommu.iotlb: read 118, expected a string: the IOTLB: SETSxWAYS',
  ],
  [
    'geometry of zero',
    'machine',
    machine('iotlb: 1x118 lru', "iotlb: '0x118'"),
    'x.yaml: iommu.iotlb is "0x118", expected SETSxWAYS',
  ],
  ['extends nothing', 'machine', `${HEAD}extends: intel-vdt\n`, 'no machine "intel-vdt"; near: intel-vtd'],
  ['extends itself', 'machine', `${HEAD}extends: ./x.yaml\n`, 'x.yaml: extends itself: '],
  ['extends a number', 'machine', `${HEAD}extends: 5\n`, 'x.yaml: family is missing, expected mm:'],
  [
    'extends, no title',
    'machine',
    'name: x\nsource: s\nextends: amd-vi\n',
    'x.yaml: title is missing, expected one line',
  ],
  [
    'extends, a value for a group',
    'machine',
    `${HEAD}extends: amd-vi\niommu: 5\n`,
    'x.yaml: iommu: read 5, expected a group of fields: the IOMMU',
  ],
  [
    'extends, unknown field in a group',
    'machine',
    `${HEAD}extends: amd-vi\niommu: { iotbl: 1x4 }\n`,
    'x.yaml: iommu.iotbl: no such field; near: iotlb',
  ],
  ['unknown CPU', 'machine', machine('cpu: zen', 'cpu: zem'), 'no CPU "zem"; near: zen'],
  [
    'CPU a number',
    'machine',
    machine('cpu: zen', 'cpu: 4'),
    'x.yaml: cpu: read 4, expected a group of fields: TLBs of',
  ],
  ['CPU: no L2', 'cpu', cpu(/^l2:.*\n/m, ''), 'x.yaml: l2 is missing, expected second level'],
  [
    'CPU: no source',
    'cpu',
    cpu(/^source:(.|\n)*?\n\n/m, ''),
    'x.yaml: source is missing, expected where it comes from',
  ],
  ['CPU: geometry', 'cpu', cpu('1x72 lru', '0x72 lru'), 'x.yaml: l1d is "0x72", expected SETSxWAYS'],
  ['CPU: unknown field', 'cpu', cpu('l1d:', 'l1:'), 'x.yaml: l1d is missing, expected first level of data accesses'],
  [
    'unknown replacement',
    'machine',
    machine('iotlb: 1x118 lru', 'iotlb: 1x118 lri'),
    'x.yaml: iommu.iotlb: read "lri" behind the geometry, expected one of lru, fifo, plru, random, srrip, lfu',
  ],
  [
    'huge geometry',
    'machine',
    machine('iotlb: 1x118 lru', 'iotlb: 9999999x9'),
    'x.yaml: iommu.iotlb is "9999999x9", expected SETSxWAYS',
  ],
  [
    'no IOTLB',
    'machine',
    machine('iotlb: 1x118 lru', 'iotlb: none'),
    'x.yaml: iommu.iotlb: read "none", expected the IOTLB',
  ],
  [
    'IOTLB of large leaves',
    'machine',
    machine('iotlb: 1x118 lru', 'iotlb: 1x118 lru\n  iotlb_large: split'),
    'x.yaml: iommu.iotlb_large: read "split", expected the IOTLB of leaves of 2 MiB: shared',
  ],
  [
    'geometry of an IOTLB of huge leaves',
    'machine',
    machine('iotlb: 1x118 lru', 'iotlb: 1x118 lru\n  iotlb_huge: 0x4 lru'),
    'x.yaml: iommu.iotlb_huge is "0x4", expected SETSxWAYS',
  ],
  [
    'large leaves of an address space',
    'machine',
    `${HEAD}extends: amd-v2\niommu: { iotlb_large: 1x4 }\n`,
    'x.yaml: iommu.iotlb_large: read "1x4 lru", expected shared in a machine of family mm',
  ],
  [
    'a table that does not reach all of an address space',
    'machine',
    `${HEAD}extends: amd-v2\niommu: { levels: 3 }\n`,
    'x.yaml: iommu.levels: read 3, expected 4 to 5 with page_table: amdv2',
  ],
  [
    'no device TLB',
    'machine',
    machine('ats: false\n  device_tlb: 1x64 lru', 'ats: true\n  device_tlb: none'),
    'x.yaml: device.device_tlb: read "none", expected SETSxWAYS with ats: true',
  ],
  ['NaN', 'machine', machine('hz: 250', 'hz: .nan'), 'x.yaml: hz: read NaN, expected an integer'],
  ['infinity', 'machine', machine('hz: 250', 'hz: .inf'), 'x.yaml: hz: read Infinity, expected an integer'],
  [
    'half',
    'machine',
    machine('walkers: 5', 'walkers: 5.5'),
    'x.yaml: iommu.walkers: read 5.5, expected an integer: walks at a time',
  ],
  ['too many ITags', 'machine', machine('itags: 32', 'itags: 33'), 'x.yaml: device.itags: read 33, expected <= 32'],
  ['yes', 'machine', machine('ats: false', 'ats: yes'), 'x.yaml: device.ats: read "yes", expected true or false'],
  ['family', 'machine', machine('family: dma', 'family: dam'), 'x.yaml: family: read "dam", expected one of mm, dma'],
  [
    'no command',
    'machine',
    machine(/ {2}page: .*/, '  page: none'),
    'x.yaml: driver.page: read "none", expected commands such as',
  ],
  [
    'unknown command',
    'machine',
    machine(/ {2}page: .*/, '  page: iotlb.paeg wait'),
    'x.yaml: driver.page: "iotlb.paeg" is not a command; near: iotlb.page',
  ],
  ['waits for nothing', 'machine', machine(/ {2}page: .*/, '  page: wait'), 'x.yaml: driver.page: begins with "wait"'],
  [
    'nine commands',
    'machine',
    machine(/ {2}page: .*/, `  page: ${'iotlb.page '.repeat(9)}`),
    'x.yaml: driver.page: 9 commands, expected at most 8',
  ],
  [
    'a PASID of a domain',
    'machine',
    machine(/ {2}all: .*/, '  all: iotlb.pasid wait'),
    'x.yaml: driver.all: read "iotlb.pasid", expected iotlb.domain',
  ],
  [
    'dma without iova',
    'machine',
    machine(/\niova:\n( .*\n?)+/, '\n'),
    'x.yaml: iova is missing, expected it in a machine of family dma',
  ],
  [
    'mm with iova',
    'machine',
    machine('family: dma', 'family: mm'),
    'x.yaml: iova: read a group, expected none in a machine of family mm',
  ],
  ['no such cost', 'costs', cost('').replace('qi.wait', 'qi.weit'), 'x.yaml: qi.weit: no such cost; near: qi.wait'],
  ['cost a number', 'costs', 'qi.wait: 5', 'x.yaml: qi.wait: read 5, expected a group of fields: one price'],
  [
    'negative',
    'costs',
    cost('').replace('default: 1', 'default: -1'),
    'x.yaml: qi.wait.default: read -1, expected >= 0',
  ],
  [
    'cost NaN',
    'costs',
    cost('').replace('default: 1', 'default: .nan'),
    'x.yaml: qi.wait.default: read NaN, expected a number',
  ],
  [
    'cost text',
    'costs',
    cost('').replace('default: 1', "default: '1'"),
    'x.yaml: qi.wait.default: read "1", expected a number',
  ],
  [
    'out of range',
    'costs',
    cost('').replace('default: 1', 'default: 3'),
    'x.yaml: qi.wait: read default 3 outside low 0 .. high 2',
  ],
  [
    'confidence',
    'costs',
    cost('').replace('assumed', 'guessed'),
    'x.yaml: qi.wait.confidence: read "guessed", expected one of measured, derived, assumed',
  ],
  ['given in a file', 'costs', cost('').replace('assumed', 'given'), 'x.yaml: qi.wait.confidence: read "given"'],
  [
    'cost field',
    'costs',
    cost('unit: us'),
    'x.yaml: qi.wait.unit: no such field; fields are default, low, high, confidence, note, source',
  ],
  ['cost prototype', 'costs', '__proto__: 1', 'x.yaml: __proto__: read 1, expected a group of fields'],
];

for (const [name, kind, text, expected] of FILES) {
  test(`${kind} file: ${name}`, () => {
    const load = { policy: loadPolicy, machine: loadMachine, cpu: loadCpu, costs: loadCosts }[kind];
    expect(complaint(() => load(file(text))).slice(0, expected.length)).toBe(expected);
  });
}

// name               action                                                 error
const CALLS: [string, () => unknown, string][] = [
  ['policy', () => loadPolicy('under-lok'), 'no policy "under-lok"; near: under-lock; expected one of batched, lazy, '],
  ['policy path', () => loadPolicy('./nowhere.yaml'), './nowhere.yaml: no such file'],
  ['policy folder', () => loadPolicy(`${here}/`), ': is not a file, expected a YAML file'],
  ['policy outside', () => loadPolicy('..'), 'no policy ".."; expected one of'],
  ['policy prototype', () => loadPolicy('__proto__'), 'no policy "__proto__"; expected one of'],
  ['machine', () => loadMachine('intel-svn'), 'no machine "intel-svn"; near: intel-sva, '],
  ['machine device', () => loadMachine('/dev/zero'), '/dev/zero: is not a file, expected a YAML file'],
  ['costs path', () => loadCosts('nowhere.yaml'), 'nowhere.yaml: no such file'],
  ['list cost', () => describe('costs', 'qi.wiat'), 'no cost "qi.wiat"; near: qi.wait'],
  ['list path', () => describe('paths', 'cwo'), 'no path "cwo"; near: cow; expected one of reclaim_swap, '],
  ['list prototype', () => describe('paths', 'toString'), 'no path "toString"; expected one of'],
  ['yaml without a name', () => catalogYaml('policies'), 'list policies --yaml: expected a name, one of batched, '],
  ['tlb CPU', () => loadCpu('zem4'), 'no CPU "zem4"; near: zen4'],
];

for (const [name, action, expected] of CALLS) {
  test(`call: ${name}`, () => expect(complaint(action).slice(0, expected.length)).toBe(expected));
}

test('a FIFO is refused, not waited for', () => {
  execFileSync('mkfifo', [join(here, 'pipe.yaml')]);
  expect(complaint(() => loadPolicy(join(here, 'pipe.yaml')))).toBe('pipe.yaml: is not a file, expected a YAML file');
});
