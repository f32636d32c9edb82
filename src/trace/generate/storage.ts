import { BOTH_WAYS, Driver, FROM_DEVICE, type List, NS, TO_DEVICE } from './driver.ts';
import type { Workload } from './workload.ts';

/** Devices that move blocks: a mapping lives as long as one request. */

export const FRAMED =
  'Frames that were given back last are used first; recorded IOVAs are those of one allocator without caches.';

/** Time of a driver for one request (assumed). */
const SUBMIT = 500 * NS;
/** Bytes of a submission and of a completion entry (NVM Express base specification 2.0, 3.3.3). */
const SUBMISSION = 64;
const COMPLETION = 16;
/** Pages that two pointers of a command reach; more take a list (the same, 4.1.1). */
const POINTERS = 2;

export const nvme: Workload = {
  name: 'nvme',
  summary: 'requests of one to many pages, a queue pair per CPU, unmapped at their completion',
  stands: 'an NVMe disk under random requests of all sizes, seven reads for three writes (drivers/nvme/host/pci.c)',
  sizes: {
    cpus: { means: 'CPUs, each with a queue pair of every device', is: 2 },
    devices: { means: 'devices', is: 1 },
    pages: { means: 'pages of the largest request', is: 32 },
    depth: { means: 'requests in flight per queue', is: 16, least: 2 },
    ops: { means: 'requests', is: 10_000 },
    rate: { means: 'requests per second and queue', is: 100_000 },
    late: { means: 'per cent of requests that the device touches after their unmap', is: 0 },
  },
  assumes: [
    'Half of the requests have one page, the others any number up to the largest, in pieces of one to four pages.',
    'Queues and lists of pages are mapped once; requests complete in the order in which they were submitted.',
    FRAMED,
  ],
  write(out, all, random) {
    const { cpus, devices, pages, depth, ops } = all;
    const driver = new Driver(out, all, random, 'nvme');
    const entries = (bytes: number): number => Math.ceil((depth * bytes) / 4096);
    const queues = Array.from({ length: cpus * devices }, (_, i) => {
      const [cpu, device] = [i % cpus, Math.floor(i / cpus)];
      const [submissions, completions] = [entries(SUBMISSION), entries(COMPLETION)];
      return {
        cpu,
        device,
        submissions: driver.map(cpu, device, submissions, BOTH_WAYS),
        completions: driver.map(cpu, device, completions, BOTH_WAYS),
        lists: driver.map(cpu, device, 1, BOTH_WAYS),
        flying: [] as List[],
        next: 0,
      };
    });
    for (let op = 0; op < ops; op++) {
      const queue = queues[random.below(queues.length)]!;
      const { cpu, device, flying } = queue;
      if (flying.length === depth) driver.unmap(cpu, flying.shift()!, SUBMIT);
      const size = random.chance(0.5) ? 1 : random.between(1, pages);
      const prot = random.chance(0.7) ? FROM_DEVICE : TO_DEVICE;
      const list = driver.map(cpu, device, size, prot, { most: 4, gap: SUBMIT });
      const [from, to] = [queue.next * SUBMISSION, queue.next * COMPLETION];
      driver.access(queue.submissions, from >> 12, { write: false, offset: from & 0xfff, gap: driver.pause() });
      if (size > POINTERS) driver.access(queue.lists, 0, { write: false });
      for (let page = 0; page < size; page++) driver.access(list, page);
      driver.access(queue.completions, to >> 12, { write: true, offset: to & 0xfff });
      queue.next = (queue.next + 1) % depth;
      flying.push(list);
    }
    for (const { cpu, flying, submissions, completions, lists } of queues)
      for (const list of [...flying, submissions, completions, lists]) driver.unmap(cpu, list);
    driver.end();
  },
};

export const virtualNvme: Workload = {
  ...nvme,
  name: 'viommu-nvme',
  summary: 'an NVMe disk of a virtual machine: with caching mode, its maps are followed by invalidations, too',
  stands: 'a guest of QEMU with intel-iommu,caching-mode=on, which an assigned device needs (VFIO)',
  assumes: [...nvme.assumes, "Caching mode is the machine's, not the trace's: intel-vtd-virtual."],
  compare: '--machines intel-vtd-virtual,intel-vtd',
};

export const rdma: Workload = {
  name: 'rdma-registration',
  summary: 'large regions are registered, used in part, and given up: long scatter lists, few accesses',
  stands: 'MPI rendezvous messages without a registration cache: ibv_reg_mr and ibv_dereg_mr for each (ib_umem_get)',
  sizes: {
    cpus: { means: 'CPUs', is: 2 },
    devices: { means: 'devices', is: 1 },
    pages: { means: 'pages of a region', is: 256 },
    depth: { means: 'regions that a CPU has registered at a time', is: 4 },
    ops: { means: 'registrations', is: 1000 },
    rate: { means: 'registrations per second and CPU', is: 10_000 },
    late: { means: 'per cent of regions that the device uses after they were given up', is: 0 },
  },
  assumes: ['Memory is in pieces of one to 16 pages; the device writes one page in eight.', FRAMED],
  write(out, all, random) {
    const { cpus, devices, pages, depth, ops } = all;
    const driver = new Driver(out, all, random, 'rnic');
    const regions = Array.from({ length: cpus }, (): List[] => []);
    for (let op = 0; op < ops; op++) {
      const cpu = random.below(cpus);
      const mine = regions[cpu]!;
      if (mine.length === depth) driver.unmap(cpu, mine.shift()!);
      const region = driver.map(cpu, random.below(devices), pages, BOTH_WAYS, { most: 16, gap: SUBMIT });
      mine.push(region);
      let gap = driver.pause();
      for (let page = random.below(Math.min(8, pages)); page < pages; page += 8, gap = 0)
        driver.access(region, page, { gap });
    }
    regions.forEach((mine, cpu) => {
      for (const region of mine) driver.unmap(cpu, region);
    });
    driver.end();
  },
};

export const dmaWindow: Workload = {
  name: 'dma-window',
  summary: 'a device reads one line at a time from random places of a window that is mapped once',
  stands: 'the latency test of pcie-bench over a window (LAT_RD, random)',
  sizes: {
    devices: { means: 'devices', is: 1 },
    pages: { means: 'pages of the window', is: 256 },
    ops: { means: 'reads', is: 10_000 },
    rate: { means: 'reads per second', is: 1_000_000 },
  },
  assumes: ['The window is mapped before the first read and unmapped behind the last.', FRAMED],
  write(out, all, random) {
    const { devices, pages, ops } = all;
    const driver = new Driver(out, { ...all, cpus: 1 }, random, 'dev');
    const windows = Array.from({ length: devices }, (_, device) => driver.map(0, device, pages, TO_DEVICE));
    for (let done = 0; done < ops; done++)
      driver.access(windows[done % devices]!, random.below(pages), { gap: driver.pause() });
    driver.end();
    for (const window of windows) driver.unmap(0, window);
  },
};
