import { BOTH_WAYS, Driver, FROM_DEVICE, type List, NS, TO_DEVICE } from './driver.ts';
import { FRAMED } from './storage.ts';
import type { Workload } from './workload.ts';

/** Network devices: a ring of descriptors per queue, and buffers that are mapped for one packet. */

/** Bytes of a descriptor (Intel e1000e, ixgbe: 16), and what a device reads of them at once: a cache line. */
const DESCRIPTOR = 16;
const LINE = 64;
const perLine = LINE / DESCRIPTOR;
/** Packets that a driver takes from a ring before it lets others work: NAPI_POLL_WEIGHT (include/linux/netdevice.h). */
const WEIGHT = 64;
/** Time of a driver for one packet (assumed). */
const PACKET = 300 * NS;

const sizes = {
  cpus: { means: 'CPUs, each with a queue of every device', is: 2 },
  devices: { means: 'devices', is: 1 },
  depth: { means: 'descriptors of a ring', is: 256, least: 8 },
  ops: { means: 'packets', is: 20_000 },
  rate: { means: 'packets per second and queue', is: 200_000 },
  late: { means: 'per cent of buffers that are used after their unmap', is: 0 },
} as const;

/** One queue: its descriptors, and what hangs on them, oldest first. */
interface Ring {
  readonly cpu: number;
  readonly descriptors: List;
  readonly buffers: List[];
  next: number;
}

function rings(driver: Driver, cpus: number, devices: number, depth: number): Ring[] {
  const made: Ring[] = [];
  const pages = Math.ceil((depth * DESCRIPTOR) / 4096);
  for (let device = 0; device < devices; device++)
    for (let cpu = 0; cpu < cpus; cpu++)
      made.push({ cpu, descriptors: driver.map(cpu, device, pages, BOTH_WAYS), buffers: [], next: 0 });
  return made;
}

/** The device reads the next descriptor: of those in one line, the first brings in the others. */
function fetchDescriptor(driver: Driver, ring: Ring, depth: number, gap: number): void {
  const at = ring.next * DESCRIPTOR;
  if (ring.next % perLine === 0)
    driver.access(ring.descriptors, at >> 12, { write: false, offset: ((at & 0xfff) >> 6) << 6, gap });
  ring.next = (ring.next + 1) % depth;
}

export const nicReceive: Workload = {
  name: 'nic-rx',
  summary: 'packets arrive in buffers that are unmapped when they are full, and replaced',
  stands: 'the receive ring of a driver that maps a page for each buffer: e1000e, and ixgbe before build_skb',
  sizes,
  assumes: [
    'A packet fills one buffer of a page; packets come in bursts of 1 to 64, at exponential distances.',
    'Descriptor rings are mapped once; the device reads four descriptors at a time.',
    FRAMED,
  ],
  write(out, all, random) {
    const { cpus, devices, depth, ops } = all;
    const driver = new Driver(out, all, random, 'nic');
    const queues = rings(driver, cpus, devices, depth);
    for (const ring of queues)
      for (let i = 0; i < depth - 1; i++) {
        const { device } = ring.descriptors;
        ring.buffers.push(driver.map(ring.cpu, device, 1, FROM_DEVICE));
      }
    for (let done = 0; done < ops; ) {
      const ring = queues[random.below(queues.length)]!;
      const { device } = ring.descriptors;
      const burst = Math.min(ops - done, random.between(1, Math.min(WEIGHT, ring.buffers.length)));
      const full = ring.buffers.splice(0, burst);
      for (const buffer of full) {
        fetchDescriptor(driver, ring, depth, driver.pause());
        driver.access(buffer, 0, { gap: driver.pause() });
      }
      for (const buffer of full) {
        driver.unmap(ring.cpu, buffer, PACKET);
        ring.buffers.push(driver.map(ring.cpu, device, 1, FROM_DEVICE));
      }
      done += burst;
    }
    for (const ring of queues) {
      for (const buffer of ring.buffers) driver.unmap(ring.cpu, buffer);
      driver.unmap(ring.cpu, ring.descriptors);
    }
    driver.end();
  },
};

export const nicTransmit: Workload = {
  name: 'nic-tx',
  summary: 'packets are mapped in parts, read by the device, and unmapped when it is done with a batch',
  stands:
    'the transmit ring of a TCP stream with segmentation offload: a header and fragments of 32 KiB (skb_page_frag_refill)',
  sizes: { ...sizes, depth: { means: 'packets on their way in a queue', is: 64, least: 2 } },
  assumes: [
    'A packet has a page of headers and one or two fragments of eight pages.',
    'Completions are handled when the queue is full: half of it at a time.',
    FRAMED,
  ],
  write(out, all, random) {
    const { cpus, devices, depth, ops } = all;
    const driver = new Driver(out, all, random, 'nic');
    const queues = rings(driver, cpus, devices, depth);
    const sent = queues.map((): List[][] => []);
    const complete = (queue: number, packets: number): void => {
      for (const parts of sent[queue]!.splice(0, packets))
        for (const part of parts) driver.unmap(queues[queue]!.cpu, part);
    };
    for (let op = 0; op < ops; op++) {
      const queue = random.below(queues.length);
      const ring = queues[queue]!;
      const { device } = ring.descriptors;
      if (sent[queue]!.length === depth) complete(queue, Math.ceil(depth / 2));
      const parts = [driver.map(ring.cpu, device, 1, TO_DEVICE, { gap: PACKET })];
      for (let i = random.between(1, 2); i > 0; i--) parts.push(driver.map(ring.cpu, device, 8, TO_DEVICE));
      fetchDescriptor(driver, ring, depth, driver.pause());
      let gap = driver.pause();
      for (const part of parts)
        for (let page = 0; page < part.pages; page++, gap = 0) driver.access(part, page, { gap });
      sent[queue]!.push(parts);
    }
    queues.forEach((ring, queue) => {
      complete(queue, depth);
      driver.unmap(ring.cpu, ring.descriptors);
    });
    driver.end();
  },
};
