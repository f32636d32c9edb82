import { describe, expect, test } from 'vitest';
import { imported, inputOf, samplesOf } from '../../../testing/imports.ts';
import { KERNEL_RECIPE } from '../../report/recipe.ts';
import { FtraceLines } from './ftrace-lines.ts';

const qemu = new Map(samplesOf('qemu').map(({ name, bytes }) => [name, bytes]));
const pairs = samplesOf('ftrace').filter(({ name }) => qemu.has(name));

/** Maps and unmaps in their order: IOVA, pages, frame of each piece of a map; IOVA and pages of an unmap. */
function operationsOf(lines: readonly string[]): string[] {
  const mapped: { iova: number; pages: number }[] = [];
  return lines.flatMap((line) => {
    const [op, , , , first, second, frame, , iova] = line.split(' ') as [string, ...string[]];
    if (op === 'map') {
      mapped[Number(first)] = { iova: Number(iova), pages: Number(second) };
      return [`map ${iova} ${second} ${frame}`];
    }
    if (op !== 'unmap') return [];
    const pieces = mapped.slice(Number(first), Number(first) + Number(second));
    return [`unmap ${pieces[0]!.iova} ${pieces.reduce((sum, piece) => sum + piece.pages, 0)}`];
  });
}

describe('the kernel and the emulator around it tell of the same maps and unmaps', () => {
  test('six pairs are there', () => expect(pairs.map(({ name }) => name)).toHaveLength(6));

  test.each(pairs)('$name', async ({ name, bytes }) => {
    const guest = operationsOf((await imported(inputOf(bytes))).lines);
    const host = operationsOf((await imported(inputOf(qemu.get(name)!))).lines);
    expect(guest.length).toBeGreaterThan(15);
    expect(guest).toEqual(host);
  });
});

describe('a line is an event', () => {
  // Line; thread, process, cpu, picoseconds since the line `x-1 [000] 5.000000: e: `, name, payload.
  test.each([
    ['     a-b c-12  [003] d.h1. 5.000001: map: IOMMU: x', ['12', '12', 3, 1e6, 'map', 'IOMMU: x']],
    ['<idle>-0 [000] 5.000000001: tlb_flush:    pages:1', ['0', '0', 0, 1000, 'tlb_flush', 'pages:1']],
    [
      'fio-1011 (   1010) [001] ..... 6.000000: sys_munmap(addr: 1)',
      ['1011', '1010', 1, 1e12, 'sys_munmap', '(addr: 1)'],
    ],
    ['fio-1011 (-------) [001] ..... 5.000000: sys_munmap -> 0x0', ['1011', '1011', 1, 0, 'sys_munmap', '-> 0x0']],
    ['x-1 [000] 5.000000: /* map: IOMMU: x */', ['1', '1', 0, 0, 'map', 'IOMMU: x']],
    ['   Web Content 9/10 [002] 5.000002: 1 iommu:map: IOMMU: x', ['10', '9', 2, 2e6, 'map', 'IOMMU: x']],
    ['mm  6862  5.000000: page-faults:     55ac', ['6862', '6862', undefined, 0, 'page-faults', '55ac']],
  ])('%s', (line, [thread, process, cpu, time, name, payload]) => {
    const lines = new FtraceLines();
    lines.read('x-1 [000] 5.000000: e: ');
    expect(lines.read(line as string)).toEqual({ thread, process, cpu, time, name, payload });
  });

  test.each([
    ['# tracer: nop', 'heading'],
    ['cpus=8', 'heading'],
    ['', 'empty'],
    ['CPU:3 [12 EVENTS DROPPED]', 'lost'],
    ['CPU:1 [LOST 7 EVENTS]', 'lost'],
    ['\tffffffff816da7c0 intel_iommu_map_pages ([kernel.kallsyms])', 'chain'],
    ['hello', 'unknown'],
    [' '.repeat(60_000), 'empty'],
    [`x-${'1 '.repeat(30_000)}`, 'unknown'],
  ])('%.40s is none', (line, kind) => expect(new FtraceLines().read(line)).toBe(kind));
});

test('a recording that begins in the middle: what was mapped before is left out, and said', async () => {
  const { bytes } = pairs[0]!;
  const lines = Buffer.from(bytes).toString().split('\n');
  const { meta } = await imported(
    inputOf(Buffer.from(lines.slice(lines.findIndex((line) => line.includes(' unmap: '))).join('\n'))),
  );
  expect(meta.tally.rejected).toBe(0);
  expect(meta.tally.rules['unmap of what was mapped before the recording began']).toBeGreaterThan(0);
});

test('what `record --kernel` makes bpftrace print is read, each kind of line', async () => {
  const values = { '%s': 'app', '%d': '1', '%03d': '001', '%09llu': '000000001', '%llu': '4096', '%llx': '2000' };
  const lines = [...KERNEL_RECIPE.matchAll(/printf\("(.*)\\n"/g)].map(([, format]) =>
    format!
      .replace('start=0x%llx', 'start=0x1000')
      .replace('event=%d', 'event=0')
      .replace(/%\w+/g, (field) => values[field as keyof typeof values]),
  );
  const { meta } = await imported(inputOf(Buffer.from(`${lines.join('\n')}\n`)));
  expect(meta.tally).toMatchObject({ lines: 6, accepted: 5, rejected: 0, ignored: 1 });
  expect(meta.counts).toMatchObject({ maps: 1, unmaps: 1, mmOps: 1, datas: 1 });
});

test('words that every object has are words like others', async () => {
  const lines = [
    'app-1 [001] d..1. 1.000001: page_fault_user: address=0x1000 ip=0x2000 error_code=0x6',
    'app-1 [001] d..1. 1.000002: invalidate_range_start: mm=0x3000 start=0x1000 end=0x2000 event=constructor',
    'app-1 [001] ..... 1.000003: sys_constructor(addr: 1000, len: 1000)',
    'app-1 [001] ..... 1.000004: sys_valueOf -> 0x0',
    'app-1 [001] ..... 1.000005: dma_map_page: 0000:00:04.0 dir=toString dma_addr=fff00000 size=4096 phys_addr=1000 attrs=',
    '',
  ];
  const { meta } = await imported(inputOf(Buffer.from(lines.join('\n'))));
  expect(meta.tally).toMatchObject({ accepted: 2, rejected: 0, ignored: 3 });
});
