import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TIMES, Unit, type UnitShape } from '../../testing/unit.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';

/** Sequences of the vectors: what they expect is read from the file, what is done stands there in words. */
interface Sequence {
  readonly id: string;
  readonly expect: Record<string, unknown>;
  readonly cases: readonly { state: string; after: string; flush: boolean }[];
}
const file = new URL('../../traces/outside/iommu-vectors.json', import.meta.url);
const sequences = (JSON.parse(readFileSync(file, 'utf8')) as { sequences: Sequence[] }).sequences;
const held = new Set<string>();

/** What a sequence expects. */
function expected<T>(id: string): T {
  held.add(id);
  return sequences.find((sequence) => sequence.id === id)!.expect as T;
}
const hex = (n: number): string => `0x${n.toString(16)}`;

// Commands in words: VT-d 6.5.2, 48882 section 2.4.
const SW = 1n << 5n;
const IF = 1n << 4n;
const FN = 1n << 6n;
const vtdWait = (data: number, address: bigint, flags = SW): bigint[] => [(BigInt(data) << 32n) | flags | 5n, address];
const amdWait = (data: number, address: bigint, flags = 1n): bigint[] => [(1n << 60n) | address | flags, BigInt(data)];
const deviceTlb = (sid: number, mip = 0): bigint[] => [(BigInt(sid) << 32n) | (BigInt(mip) << 16n) | 3n, 0x5000n];
const amdDeviceTlb = (device: number): bigint[] => [
  (4n << 60n) | (BigInt(device) << 32n) | (32n << 24n) | BigInt(device),
  0x5000n,
];
const iotlb = [0xd2n, 0n]; // global, drained
const SID = 0x100;
const IQE = 1 << 4;
const ICE = 1 << 5;
const ITE = 1 << 6;

describe.each(BUILDS)('%s engine', (build) => {
  const unit = (shape: UnitShape): Unit => new Unit(engineModule(build), shape);

  describe('vectors', () => {
    test('seq-vtd-wrap: 256 waits, the head returns to 0', () => {
      const { iqh, status } = expected<{ iqh: string[]; status: number[] }>('seq-vtd-wrap');
      const queue = unit({ commands: 'vtd' });
      for (let slot = 0; slot < 256; slot++) queue.write(slot, vtdWait(slot + 1, queue.address(slot)));
      queue.tail(0xff0, 256 * TIMES.wait);
      expect([hex(queue.head), queue.status(254), queue.status(255)]).toEqual([iqh[0], status[0], 0]);
      queue.tail(0);
      expect([hex(queue.head), queue.status(255)]).toEqual([iqh[1], status[1]]);
    });

    test('seq-vtd-iqe: the head rests on an invalid descriptor; repair, clear, tail', () => {
      const { first, final } = expected<Record<string, Record<string, unknown>>>('seq-vtd-iqe');
      const queue = unit({ commands: 'vtd' });
      queue.write(0, vtdWait(1, queue.address(0)));
      queue.write(1, [0n, 0n]);
      queue.write(2, vtdWait(3, queue.address(2)));
      queue.tail(0x30);
      const { fsts } = queue.registers;
      expect({ iqh: hex(queue.head), fsts: hex(fsts), s0: queue.status(0), s2: queue.status(2) }).toEqual(first);
      queue.tail(0x30);
      expect(hex(queue.head)).toBe(first!.iqh);
      queue.write(1, vtdWait(2, queue.address(1)));
      queue.clearFaults(IQE);
      queue.tail(0x30);
      const after = { iqh: hex(queue.head), fsts: hex(queue.registers.fsts), s1: queue.status(1), s2: queue.status(2) };
      expect(after).toEqual(final);
    });

    test('seq-vtd-256-tail-bit4: bit 4 of the tail is reserved where descriptors have 256 bits', () => {
      const { fsts } = expected<{ fsts: string }>('seq-vtd-256-tail-bit4');
      const wide = unit({ commands: 'vtd', bytes: 32, slots: 128 });
      wide.tail(0x10);
      expect(hex(wide.registers.fsts)).toBe(fsts);
      const narrow = unit({ commands: 'vtd' });
      narrow.write(0, vtdWait(1, narrow.address(0)));
      narrow.tail(0x10);
      expect([narrow.registers.fsts, narrow.status(0)]).toEqual([0, 1]);
    });

    test('seq-vtd-disable: what is told apart is whether the last command was a wait', () => {
      expect(expected('seq-vtd-disable')).toEqual({ lint: 'qie_cleared_without_wait' });
      const queue = unit({ commands: 'vtd' });
      queue.write(0, iotlb);
      queue.tail(0x10);
      expect(queue.disable()).toBe(false);
      queue.write(1, vtdWait(1, queue.address(1)));
      queue.tail(0x20, 1);
      expect(queue.disable(), 'the wait is not complete').toBe(false);
      queue.run(1e5);
      expect(queue.disable()).toBe(true);
    });

    test('seq-vtd-wait-irq: a wait with IF sets ICS.IWC, and the masked event stays pending', () => {
      const { ics, iectl } = expected<{ ics: string[]; iectl: string }>('seq-vtd-wait-irq');
      const queue = unit({ commands: 'vtd' });
      queue.write(0, vtdWait(0, 0n, IF));
      queue.tail(0x10);
      expect([hex(queue.registers.ics), hex(queue.registers.iectl)]).toEqual([ics[0], iectl]);
      queue.clearWaited();
      expect(hex(queue.registers.ics)).toBe(ics[1]);
    });

    test('seq-vtd-ite: a device that does not answer aborts the waits and stops the fetch', () => {
      const want = expected<Record<string, unknown>>('seq-vtd-ite');
      const queue = unit({ commands: 'vtd', loses: 1 });
      queue.write(0, deviceTlb(SID));
      queue.write(1, vtdWait(1, queue.address(1)));
      queue.write(2, vtdWait(2, queue.address(2)));
      queue.tail(0x20, TIMES.timeout - 1);
      expect([queue.registers.fsts, queue.status(1)]).toEqual([0, 0]);
      queue.run(1e5);
      const { fsts, itesid } = queue.registers;
      queue.tail(0x30);
      expect({
        fsts_ite: (fsts & ITE) >> 6,
        wait_status_written: queue.status(1) !== 0,
        iqerc_itesid: itesid === SID ? 'sid of the device' : itesid,
        fetch_stopped: queue.head === 0x20,
      }).toEqual(want);
      queue.clearFaults(ITE);
      expect([queue.head, queue.status(1), queue.status(2)]).toEqual([0x30, 0, 2]);
    });

    test('seq-amd-wrap: 256 completion waits, the head returns to 0', () => {
      const { head, store } = expected<{ head: string[]; store: number[] }>('seq-amd-wrap');
      const queue = unit({ commands: 'amd' });
      for (let slot = 0; slot < 256; slot++) queue.write(slot, amdWait(slot + 1, queue.address(slot)));
      queue.tail(0xff0, 256 * TIMES.wait);
      expect([hex(queue.head), queue.status(254)]).toEqual([head[0], store[0]]);
      queue.tail(0);
      expect([hex(queue.head), queue.status(255)]).toEqual([head[1], store[1]]);
    });

    test('seq-amd-iotlb-timeout: the event is logged, and the wait completes', () => {
      const { event } = expected<{ event: object }>('seq-amd-iotlb-timeout');
      const queue = unit({ commands: 'amd', loses: 1, caps: ['GTSUP'] });
      queue.write(0, amdDeviceTlb(SID));
      queue.write(1, amdWait(1, queue.address(1)));
      queue.tail(0x20, TIMES.timeout - 1);
      expect([queue.events, queue.status(1)]).toEqual([[], 0]);
      queue.run(1e5);
      expect(queue.events).toMatchObject([{ ...event, device: SID }]);
      expect(queue.status(1)).toBe(1);
    });

    // RISC-V's queue is not modelled; its rules of ITags and fences are VT-d's with a throttle of two and FN.
    test('seq-riscv-itag: with no ITag free the queue stalls; a fence holds what is behind it; answers to nothing are ignored', () => {
      expect(expected('seq-riscv-itag')).toEqual({ blocked_until: 'all ITags returned' });
      const queue = unit({ commands: 'vtd' });
      for (const slot of [0, 1, 2]) queue.write(slot, deviceTlb(SID, 2));
      queue.write(3, vtdWait(3, queue.address(3), SW | FN));
      queue.write(4, iotlb);
      queue.tail(0x50, TIMES.device - 1);
      expect(queue.head, 'the third request has no ITag').toBe(0x20);
      queue.answer(0x200, 0);
      queue.run(1);
      expect(queue.head, 'nothing behind the fence').toBe(0x40);
      queue.run(TIMES.device - 1);
      expect([queue.head, queue.status(3)]).toEqual([0x40, 0]);
      queue.run(TIMES.wait + 1);
      expect([queue.head, queue.status(3)]).toEqual([0x50, 3]);
    });

    test('seq-riscv-illegal: the head stays on an illegal command until the error is cleared', () => {
      expect(expected('seq-riscv-illegal')).toEqual({ cmd_ill: 1 });
      const queue = unit({ commands: 'vtd' });
      queue.write(0, [0xfn, 0n]);
      queue.write(1, vtdWait(1, queue.address(1)));
      queue.tail(0x20);
      expect([queue.head, queue.registers.fsts]).toEqual([0, IQE]);
      queue.write(0, iotlb);
      queue.clearFaults(IQE);
      expect([queue.head, queue.status(1)]).toEqual([0x20, 1]);
    });

    test('seq-dis-2017: whether an invalidation is put off, by the PASID-state entry', () => {
      held.add('seq-dis-2017');
      const { cases } = sequences.find(({ id }) => id === 'seq-dis-2017')!;
      const queue = unit({ commands: 'vtd' });
      for (const { state, after, flush } of cases) {
        queue.pasidState = BigInt(state);
        expect([queue.defer(), queue.pasidState], state).toEqual([!flush, BigInt(after)]);
      }
    });

    test('seq-vtd-tail-too-big: a tail past the end', () => {
      const { fsts, iqei_hint } = expected<{ fsts: string; iqei_hint: number }>('seq-vtd-tail-too-big');
      const queue = unit({ commands: 'vtd' });
      queue.tail(0x1000);
      expect([hex(queue.registers.fsts), queue.registers.iqei, queue.head]).toEqual([fsts, iqei_hint, 0]);
    });

    test('seq-vtd-wait-covers-devtlb: the status write comes after the answer of the device', () => {
      const { order } = expected<{ order: string[] }>('seq-vtd-wait-covers-devtlb');
      const queue = unit({ commands: 'vtd' });
      queue.write(0, deviceTlb(SID));
      queue.write(1, vtdWait(1, queue.address(1)));
      queue.write(2, iotlb);
      queue.tail(0x30, 1);
      expect(queue.head, 'what is behind the wait has started').toBe(0x30);
      queue.run(TIMES.device - 2);
      const early = queue.status(1);
      queue.run(1 + TIMES.wait);
      expect(order).toEqual(['dev_tlb_inv completion', 'status write']);
      expect([early, queue.status(1)]).toEqual([0, 1]);
    });

    test('seq-amd-illegal: the buffer stops on an illegal command, logs where, and starts again', () => {
      const want = expected<Record<string, unknown>>('seq-amd-illegal');
      const queue = unit({ commands: 'amd' });
      queue.write(0, amdWait(1, queue.address(0)));
      queue.write(1, [0xfn << 60n, 0n]);
      queue.write(2, amdWait(3, queue.address(2)));
      queue.tail(0x30);
      const [event] = queue.events;
      expect({
        head: hex(queue.head),
        cmdbufrun: (queue.registers.status >> 4) & 1,
        store0: queue.status(0),
        store2: queue.status(2),
        event: { code: event!.code, address: `base+0x${event!.address.toString(16)}` },
      }).toEqual(want);
      queue.write(1, amdWait(2, queue.address(1)));
      queue.restart();
      expect([queue.head, queue.status(1), queue.status(2)]).toEqual([0x30, 2, 3]);
    });

    test('every sequence of the file is one of these', () => {
      expect([...held].sort()).toEqual(sequences.map(({ id }) => id).sort());
    });
  });

  test('a wait with SW and IF: the write is visible before the interrupt', () => {
    const queue = unit({ commands: 'vtd' });
    queue.write(0, vtdWait(7, queue.address(0), SW | IF));
    queue.tail(0x10, TIMES.wait - 1);
    expect([queue.status(0), queue.registers.ics]).toEqual([0, 0]);
    queue.run(1);
    expect([queue.status(0), queue.registers.ics]).toEqual([7, 1]);
  });

  test('descriptors of 256 bits, two of which a queue of 128 bits refuses', () => {
    const page = [6n | (3n << 4n) | (1n << 16n) | (9n << 32n), 0x7000n, 0n, 0n];
    const device = [8n | (BigInt(SID) << 16n) | (9n << 32n), 0x7000n, 0n, 0n];
    const wide = unit({ commands: 'vtd', bytes: 32, slots: 128, caps: ['SMTS'] });
    wide.write(0, page);
    wide.write(1, device);
    wide.write(2, [...vtdWait(1, wide.address(2)), 0n, 0n]);
    wide.tail(0x60);
    expect([wide.head, wide.status(2), wide.registers.fsts]).toEqual([0x60, 1, 0]);
    const narrow = unit({ commands: 'vtd', caps: ['SMTS'] });
    narrow.write(0, page.slice(0, 2));
    narrow.tail(0x10);
    expect([narrow.head, narrow.registers.fsts, narrow.registers.iqei]).toEqual([0, IQE, 5]);
  });

  test('requests to a device overlap, and those to another have ITags of their own', () => {
    const queue = unit({ commands: 'vtd' });
    for (let slot = 0; slot < 34; slot++) queue.write(slot, deviceTlb(slot < 33 ? SID : SID + 8));
    queue.write(34, vtdWait(1, queue.address(34)));
    queue.tail(34 * 16, TIMES.device - 1);
    expect(queue.head, '32 under way, the 33rd waits at the head').toBe(32 * 16);
    queue.run(1);
    queue.tail(35 * 16, TIMES.device - 1);
    expect([queue.head, queue.status(34)]).toEqual([35 * 16, 0]);
    queue.run(1 + TIMES.wait);
    expect(queue.status(34)).toBe(1);
  });

  test('an answer that nobody asked for sets ICE, and the queue goes on', () => {
    const queue = unit({ commands: 'vtd' });
    queue.write(0, deviceTlb(SID));
    queue.write(1, vtdWait(1, queue.address(1)));
    queue.tail(0x20, 1);
    queue.answer(SID, 0);
    expect(queue.registers.fsts, 'ITag 0 is under way').toBe(0);
    queue.answer(SID, 1);
    expect(queue.registers).toMatchObject({ fsts: ICE, icesid: SID });
    queue.run(1e5);
    expect(queue.status(1)).toBe(1);
    queue.clearFaults(ICE);
    expect(queue.registers.fsts).toBe(0);
  });

  test('AMD: a wait with an interrupt, one that holds back what is behind it, one that stores nothing', () => {
    const queue = unit({ commands: 'amd', caps: ['GTSUP'] });
    queue.write(0, amdDeviceTlb(SID));
    queue.write(1, amdWait(5, queue.address(1), 0b111n));
    queue.write(2, amdWait(6, queue.address(2), 0b010n));
    queue.tail(0x30, TIMES.device);
    expect([queue.head, queue.status(1), queue.registers.status & 4]).toEqual([0x20, 0, 0]);
    queue.run(TIMES.wait);
    expect([queue.status(1), queue.registers.status & 4]).toEqual([5, 4]);
    queue.run(1e5);
    expect([queue.head, queue.status(2)]).toEqual([0x30, 0]);
  });

  test('AMD: a full event log drops events and says so, until software has read it', () => {
    const queue = unit({ commands: 'amd' });
    queue.write(0, [0xfn << 60n, 0n]);
    for (let i = 0; i < 512; i++) {
      queue.tail(0x10);
      queue.restart();
    }
    expect([queue.events.length, queue.registers.status & 0b1001]).toEqual([511, 1]);
    queue.readEvents();
    expect([queue.events.length, queue.registers.status & 0b1001]).toEqual([0, 0b1000]);
  });
});
