import { PROT } from '../../model/trace.ts';
import type { TraceWriter } from '../writer.ts';

/** Buffers that are mapped, used once and unmapped. */
const BUFFERS = 1024;
/** Pages of the ring that the device uses for each buffer. */
const USES = 4;
/** From one buffer to the next, in picoseconds. */
const PACE = 5e6;

/**
 * The DMA API calls of a driver with one device: `pages` pages stay mapped, and the device uses them in turn, four for
 * each buffer; every 5 us a buffer of one page is mapped, written by the device, and unmapped. Made up, to vary the pages
 * that a device keeps using, and nothing else.
 */
export function writeRing(writer: TraceWriter, pages: number): void {
  const domain = writer.space('domain', 'domain');
  const cpu = writer.agent('cpu0', 'cpu', domain);
  const device = writer.agent('00:04.0', 'device', domain);
  const map = (instance: number, gap: number): void =>
    writer.event(cpu, 'map', [domain, instance, 1, instance, PROT.read | PROT.write, 0, 0], gap);
  const use = (instance: number): void => writer.event(device, 'dma', [instance, 0, 0, 1, 0], 0);
  for (let page = 0; page < pages; page++) map(page, 0);
  for (let buffer = 0; buffer < BUFFERS; buffer++) {
    map(pages + buffer, PACE);
    use(pages + buffer);
    for (let i = 0; i < USES; i++) use((buffer * USES + i) % pages);
    writer.event(cpu, 'unmap', [domain, pages + buffer, 1, 1], 0);
  }
}

/** Pages that such a ring has at most. */
export const MAX_RING = 1 << 18;
