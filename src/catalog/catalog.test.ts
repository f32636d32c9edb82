import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { COST_KEYS } from '../model/cost.ts';
import { machineSpec, submission } from '../model/machine.ts';
import { PATH_NAMES, type PathName } from '../model/path.ts';
import { flatSteps, stepText } from '../model/policy.ts';
import { NO_CACHE } from '../model/tlb.ts';
import {
  CATALOG_KINDS,
  catalogYaml,
  describe,
  listCatalog,
  listCosts,
  listCpus,
  listMachines,
  listPolicies,
  loadCosts,
  loadCpu,
  loadMachine,
  loadPolicy,
  withPolicySetting,
  withSetting,
} from './catalog.ts';
import { parseYaml } from './file.ts';

const CATALOG = new URL('.', import.meta.url);

const MM = listPolicies()
  .filter(({ family }) => family.includes('mm'))
  .map(({ name }) => name);
const here = mkdtempSync(join(tmpdir(), 'catalog-'));
afterAll(() => rmSync(here, { recursive: true }));

/** Path of a file with this text. */
function file(name: string, text: string): string {
  writeFileSync(join(here, name), text);
  return join(here, name);
}

function steps(policy: string, path: PathName): string[] {
  return flatSteps(loadPolicy(policy).mm!.paths[path]).map(stepText);
}

test('every shipped file loads, is named as its file, and has a source', () => {
  const rows = [...listPolicies(), ...listMachines(), ...listCpus()];
  expect(rows.map(({ name }) => name)).toEqual([
    ...[
      'batched',
      'lazy',
      'lazy-amd-2017',
      'lazy-intel-2017',
      'lazy-single',
      'linux-4.10',
      'linux-4.12',
      'linux-4.14',
      'linux-4.15',
      'linux-5.0',
      'linux-6.6',
    ],
    ...['passthrough', 'primary-after-unlock', 'range-end', 'range-end-no-gather', 'strict', 'under-lock'],
    ...[
      'amd-sva',
      'amd-v2',
      'amd-vi',
      'amd-vi-virtual',
      'conditional-shadow',
      'conditional-shared',
      'intel-sva',
      'intel-sva-2dev',
      'intel-sva-kvm',
      'intel-svm',
      'intel-svm-nodis',
      'intel-vtd',
      'intel-vtd-6.12',
      'intel-vtd-virtual',
      'kvm',
      'qemu-amdvi',
      'qemu-vtd',
      'rdma-odp',
      'xen',
      'xeon-2015',
      'xeon-2023',
    ],
    ...['ice-lake', 'sapphire-rapids', 'skylake', 'zen', 'zen2', 'zen3', 'zen4'],
  ]);
  for (const { name } of listPolicies()) expect(loadPolicy(name).name).toBe(name);
  for (const { name } of listMachines()) expect(loadMachine(name).name).toBe(name);
  for (const { name } of listCpus()) expect(loadCpu(name).name).toBe(name);
  for (const row of [...rows, ...listCosts()]) expect(row.source.length, row.name).toBeGreaterThan(12);
  expect(Object.keys(loadCosts())).toEqual([...COST_KEYS]);
});

test('the catalog names no file or machine of its authors', () => {
  const files = readdirSync(CATALOG, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
  for (const name of files)
    expect(readFileSync(new URL(name, CATALOG), 'utf8'), name).not.toMatch(/\/work|\/home|shared\/|\.md\b/);
});

test('the schemas are valid draft-07 and describe every field', () => {
  const bare: string[] = [];
  const walk = (schema: Record<string, unknown>, at: string): void => {
    for (const [key, value] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)) {
      if (typeof value.description !== 'string') bare.push(`${at}.${key}`);
      walk(value, `${at}.${key}`);
    }
    if (typeof schema.additionalProperties === 'object')
      walk(schema.additionalProperties as Record<string, unknown>, `${at}.*`);
  };
  for (const name of ['policy', 'machine', 'costs']) {
    const schema = JSON.parse(readFileSync(new URL(`schema/${name}.schema.json`, CATALOG), 'utf8'));
    expect(new Ajv().validateSchema(schema)).toBe(true);
    expect(schema.$schema).toContain('draft-07');
    walk(schema, name);
  }
  expect(bare).toEqual([]);
});

test('under-lock and range-end differ in the place of one step: the reclaim and COW paths, mprotect and mremap', () => {
  for (const path of PATH_NAMES) {
    const lock = steps('under-lock', path);
    const end = steps('range-end', path);
    if (path === 'exit') {
      expect(lock).toEqual(end);
      continue;
    }
    const without = lock.filter((word) => word !== 'SI');
    expect(lock.length - without.length, path).toBe(1);
    if (['munmap', 'munmap_dirty', 'dontneed', 'madv_free'].includes(path)) continue;
    expect(
      end.map((word) => (word === 'RE!' ? 'RE' : word)),
      path,
    ).toEqual(without);
    expect([end.includes('SI'), end.includes('RE!'), lock.includes('RE!')], path).toEqual([false, true, false]);
  }
});

test('under-lock invalidates in the hold, after the clear, before any new PTE; range-end only in that of the gather hook', () => {
  for (const path of PATH_NAMES.filter((path) => path !== 'exit')) {
    const all = steps('under-lock', path);
    // The hold before the copy of a page that is PROT_NONE changes nothing.
    const lock = all.slice(all.indexOf('PC') < all.indexOf('UL') ? 0 : all.lastIndexOf('LK'));
    const at = lock.indexOf('SI');
    // What empties a PTE for good puts no new one there.
    const set = lock.findIndex((word) => word.startsWith('PS') && word !== 'PS(cache)');
    expect([lock.indexOf('PC') < at, at < lock.indexOf('UL'), set === -1 || at < set], path).toEqual([
      true,
      true,
      true,
    ]);
    const end = steps('range-end', path);
    const held = end.slice(end.indexOf('LK'), end.indexOf('UL'));
    expect(held.includes('SI'), path).toBe(path === 'munmap_dirty');
  }
});

test('zap: under-lock has no gather hook, range-end keeps it behind the CPU flush', () => {
  for (const path of ['munmap', 'dontneed'] as const) {
    const tables = path === 'munmap' ? ['SI?'] : [];
    expect(steps('under-lock', path)).toEqual([
      'RS',
      'LK',
      'CFp',
      'PC',
      'RR',
      'SI',
      'UL',
      'RE',
      'CF',
      ...tables,
      'FREE',
    ]);
    expect(steps('range-end', path)).toEqual(['RS', 'LK', 'CFp', 'PC', 'RR', 'UL', 'RE!', 'CF', 'SI', 'FREE']);
  }
});

test('change_pte stands where a page takes the place of another and in KSM, up to 5.0, and nowhere else', () => {
  const found = MM.flatMap((name) =>
    PATH_NAMES.filter((path) => steps(name, path).includes('CP')).map((path) => `${name} ${path}`),
  );
  const paths = ['cow', 'uprobe', 'ksm_write_protect', 'ksm_replace'];
  const releases = ['4.10', '4.12', '4.14', '4.15', '5.0'];
  expect(found).toEqual(releases.flatMap((release) => paths.map((path) => `linux-${release} ${path}`)));
});

test('every list of a release says which it was read in, file and function too, and a what-if says none', () => {
  for (const name of MM) {
    for (const [path, { kernel, source }] of Object.entries(loadPolicy(name).mm!.paths)) {
      const shipped = name.startsWith('linux-');
      expect([kernel !== null, source !== null], `${name} ${path}`).toEqual([shipped, shipped]);
      if (shipped) expect(source, `${name} ${path}`).toMatch(/^[a-z]+\/[a-z_/]+\.c [a-z_]+\b.* \(\d+\.\d+[^()]*\)$/);
    }
  }
});

test('a reclaim batch of linux-6.6 is one PASID-wide invalidation per page and one CPU flush', () => {
  for (const path of PATH_NAMES.filter((name) => name.startsWith('reclaim'))) {
    const words = steps('linux-6.6', path);
    expect([words.filter((word) => word === 'SI*').length, words.filter((word) => word === 'CF').length], path).toEqual(
      [1, 1],
    );
  }
});

// machine          page | range | all | map, as submitted
const SUBMISSIONS: [string, string][] = [
  [
    'amd-v2',
    'iotlb.page wait device_tlb.page wait | iotlb.pasid wait device_tlb.all wait | iotlb.pasid wait device_tlb.all wait | ',
  ],
  [
    'intel-svm',
    'iotlb.page wait device_tlb.page wait | iotlb.range wait device_tlb.range wait | iotlb.pasid wait device_tlb.all wait | ',
  ],
  [
    'intel-svm-nodis',
    'iotlb.page wait device_tlb.page wait | iotlb.range wait device_tlb.range wait | iotlb.pasid wait device_tlb.all wait | ',
  ],
  ['intel-vtd', 'iotlb.page wait | iotlb.range wait | iotlb.domain wait | '],
  ['amd-vi', 'iotlb.page wait | iotlb.range wait | iotlb.domain wait | '],
  ['qemu-vtd', 'iotlb.page wait | iotlb.range wait | iotlb.domain wait | '],
  ['qemu-amdvi', 'iotlb.page wait | iotlb.range wait | iotlb.domain wait | iotlb.page wait'],
];

for (const [name, expected] of SUBMISSIONS) {
  test(`${name}: what an invalidation submits, and its file form is kept`, () => {
    const machine = loadMachine(name);
    expect(
      (['page', 'range', 'all', 'map'] as const).map((what) => submission(machine, what).join(' ')).join(' | '),
    ).toBe(expected);
    const { page, range, all } = machine.driver;
    expect([page, range, all].every((words) => words.at(-1) === 'wait')).toBe(true);
    expect(loadMachine(file(`${name}-in-full.yaml`, stringify(machineSpec(machine))))).toEqual(machine);
  });
}

test('intel-svm-nodis is intel-svm without the deferral', () => {
  const { name: a, title: b, source: c, ...with_ } = loadMachine('intel-svm');
  const { name: d, title: e, source: f, ...without } = loadMachine('intel-svm-nodis');
  expect([a === d, b === e, c === f]).toEqual([false, false, false]);
  expect(without).toEqual({ ...with_, driver: { ...with_.driver, deferral: false } });
});

const OWN = { name: 'mine', title: 't', source: 's' };

test('a machine file that extends another says only what differs, and names its CPU', () => {
  const { name: _, title: _title, source: _source, ...base } = loadMachine('intel-vtd');
  const mine = { ...OWN, extends: 'intel-vtd', iommu: { iotlb: '1x64 plru', walk_cache: { pde: 'none' } } };
  const first = file('first.yaml', stringify(mine));
  const { iotlb, walkCache } = base.iommu;
  expect(loadMachine(first)).toEqual({
    ...OWN,
    ...base,
    iommu: {
      ...base.iommu,
      iotlb: { ...iotlb, ways: 64, replacement: 'plru' },
      walkCache: { ...walkCache, pde: NO_CACHE },
    },
  });
  const { cpu } = loadCpu('zen4');
  file('second.yaml', stringify({ ...OWN, extends: './first.yaml', cpu: './cpu.yaml' }));
  file('cpu.yaml', catalogYaml('cpus', 'zen4'));
  expect(loadMachine(join(here, 'second.yaml'))).toEqual({ ...loadMachine(first), cpu });
  expect(withSetting(loadMachine(first), 'machine.cpu=zen4')).toEqual({ ...loadMachine(first), cpu });
});

test('a large IOMMU and a small one: what differs from intel-vtd is what their files say', () => {
  const { iommu: base } = loadMachine('intel-vtd');
  expect(loadMachine('xeon-2015').iommu).toEqual({
    ...base,
    iotlb: { sets: 1, ways: 118, replacement: 'lru' },
    walkers: 5,
  });
  const { iotlb, walkers } = loadMachine('xeon-2023').iommu;
  expect([iotlb.sets * iotlb.ways, walkers]).toEqual([4096, 256]);
  // 2048 entries of 12 ways: no power of two, and not even whole sets.
  expect(loadCpu('zen2').cpu.l2).toEqual({ sets: 171, ways: 12, replacement: 'lru' });
});

test('prices: a synchronous invalidation is 1.0 us on both command sets, a domain 1.2 us, everything 3 us', () => {
  const ns = (...keys: (typeof COST_KEYS)[number][]): number =>
    keys.reduce((sum, key) => sum + loadCosts()[key].default, 0);
  expect(ns('qi.submit', 'qi.wait', 'iotlb.inv_page')).toBe(1000);
  expect(ns('amd.submit', 'amd.wait')).toBe(1000);
  expect(ns('qi.submit', 'qi.wait', 'iotlb.inv_domain')).toBe(1200);
  expect(ns('qi.submit', 'qi.wait', 'iotlb.inv_global')).toBe(3000);
  expect(ns('iommu.walk_start', 'iommu.walk_ref')).toBe(280);
});

test('what a file gets wrong is said of that file, also when another one extends it', () => {
  const list = 'RS LK CF PS(new) UL PC RE PPc FREE';
  const base = file(
    'base.yaml',
    `name: base\ntitle: t\nsource: s\nextends: range-end\nmm: { paths: { cow: '${list}' } }\n`,
  );
  const over = file('over.yaml', 'name: over\ntitle: t\nsource: s\nextends: ./base.yaml\n');
  for (const path of [base, over])
    expect(() => loadPolicy(path)).toThrow(
      `${base}: mm.paths.cow: step 6 "PC": a PTE is cleared outside the page-table lock, expected LK before and UL after it`,
    );
});

test('a policy may extend another, from a file beside it too', () => {
  const mine = file(
    'mine.yaml',
    "name: mine\ntitle: t\nsource: s\nextends: range-end\nmm: { paths: { mprotect: '{ RS LK PC PS(ro) UL RE } RET' } }\n",
  );
  expect(loadPolicy(mine).mm!.paths.mprotect.text).toBe('{ RS LK PC PS(ro) UL RE } RET');
  expect(loadPolicy(mine).mm!.paths.cow).toEqual(loadPolicy('range-end').mm!.paths.cow);
  const beside = file(
    'beside.yaml',
    'name: beside\ntitle: t\nsource: s\nextends: ./mine.yaml\ndma: { unmap: strict }\n',
  );
  expect([loadPolicy(beside).mm!.paths.mprotect.text, loadPolicy(beside).dma]).toEqual([
    '{ RS LK PC PS(ro) UL RE } RET',
    { unmap: 'strict' },
  ]);
});

test('a costs file may hold a part', () => {
  const path = file(
    'part.yaml',
    'qi.wait: { default: 7, low: 7, high: 7, confidence: measured, note: n, source: s }\n',
  );
  expect([loadCosts(path)['qi.wait'].default, loadCosts(path)['qi.submit']]).toEqual([7, loadCosts()['qi.submit']]);
});

test('lists and descriptions are plain rows; --yaml is what loads again', () => {
  for (const kind of CATALOG_KINDS) {
    for (const { name, title, source } of listCatalog(kind)) {
      expect(
        [title, source].every((text) => text !== '' && !text.includes('\n')),
        name,
      ).toBe(true);
      const { columns, rows } = describe(kind, name);
      expect(rows.length, name).toBeGreaterThan(0);
      expect(
        rows.filter((row) => row.length !== columns.length),
        name,
      ).toEqual([]);
      const text = catalogYaml(kind, name);
      expect(parse(text), name).toBeTypeOf('object');
      // What the build has read, and the same read now.
      expect(parseYaml(text, name), name).toEqual(parseYaml(`${text}\n`, name));
    }
  }
  const row = ['machine.device.outstanding', '16', 'accesses in flight at a time'];
  expect(describe('machines', 'amd-v2').rows).toContainEqual(row);
  expect(describe('policies', 'linux-5.0').rows).toContainEqual([
    'cow',
    'RS LK PC CF SI CP PS(new) NEW? RR PP UL RE PPc FREE',
    'PC CF SI CP PS(new) RR PP',
    'mm/memory.c wp_page_copy: ptep_clear_flush_notify, set_pte_at_notify, mmu_notifier_invalidate_range_only_end (4.15.18, 5.0.1; since 0f10851ea475)',
  ]);
  expect(loadMachine(file('copy.yaml', catalogYaml('machines', 'amd-vi')))).toEqual(loadMachine('amd-vi'));
  expect(loadCosts(file('costs.yaml', catalogYaml('costs')))).toEqual(loadCosts());
});

test('a setting of a policy changes those that have it', () => {
  const [lazy, strict] = [loadPolicy('lazy'), loadPolicy('strict')];
  expect(withPolicySetting([lazy, strict], 'policy.dma.queue_size=64')).toEqual([
    { ...lazy, dma: { ...lazy.dma, queueSize: 64 } },
    strict,
  ]);
});
