import { UsageError } from '../../model/errors.ts';
import { FETCH, READ, WRITE } from '../writer.ts';
import { itemsOf, type RunRecord } from './accesses.ts';
import { type Exporter, type LeftOut, PIECE } from './exporter.ts';

/** Bytes of a record, and where its slots are (ChampSim inc/trace_instruction.h). */
const RECORD = 64;
const STORES = { at: 16, slots: 2 };
const LOADS = { at: 32, slots: 4 };
/** A place in a page that makes no address 0, which is an empty slot. */
const OFFSET = 0x40;

const SECOND = 'mark of a second half, which is an access of its own';
const ADDED = 'instruction added, to hold data accesses that no instruction had room for';
const PAGE_ZERO = 'data access to page 0, where ChampSim has register numbers';

/** ChampSim's instructions: one CPU; loads of an instruction come before its stores. */
export const champsim: Exporter = {
  name: 'champsim',
  summary: 'ChampSim instructions of 64 bytes: accesses of one CPU',

  *write(trace, left) {
    const cpus = trace.meta.agents.filter(({ kind }) => kind === 'cpu');
    if (trace.meta.counts.fetches + trace.meta.counts.datas === 0)
      throw new UsageError('the trace has no access by a CPU, and ChampSim no other');
    if (cpus.length !== 1) throw new UsageError(`the trace has ${cpus.length} CPUs, and a ChampSim trace one`);
    const instructions = new Instructions(left);
    for (const item of itemsOf(trace)) {
      if ('event' in item) left.add(item.event.op);
      else instructions.add(item.run);
      if (instructions.bytes >= PIECE) yield instructions.take();
    }
    yield instructions.take(true);
  },
};

/** Packs accesses into instructions so that the same records come of them. */
class Instructions {
  private done = new Uint8Array(2 * PIECE);
  private length = 0;
  /** The instruction in hand is `done` from `length` on, if there is one. */
  private begun = false;
  private loads = 0;
  private stores = 0;

  constructor(private readonly left: LeftOut) {}

  get bytes(): number {
    return this.length;
  }

  add(run: RunRecord): void {
    if (run.second) this.left.add(SECOND);
    let { fetches, datas } = run;
    if (run.kind === FETCH) {
      this.fetch(run.vpn);
      fetches--;
    } else {
      this.data(run.kind, run.vpn);
      datas--;
    }
    // Data as early as it goes, so that the last instruction has room for what the next record begins with.
    while (fetches + datas > 0) {
      if (datas > 0 && this.room(run.dataWrites)) {
        this.data(this.canLoad() ? READ : WRITE, run.dataVpn);
        datas--;
      } else if (fetches > 0) {
        this.fetch(run.fetchVpn);
        fetches--;
      } else {
        this.data(READ, run.dataVpn);
        datas--;
      }
    }
  }

  /** The instructions that are complete; all with `end`. */
  take(end = false): Uint8Array {
    if (end) this.close();
    const out = this.done.slice(0, this.length);
    const rest = this.done.slice(this.length, this.length + RECORD);
    this.done = new Uint8Array(2 * PIECE);
    this.done.set(rest);
    this.length = 0;
    return out;
  }

  private canLoad(): boolean {
    return this.begun && this.stores === 0 && this.loads < LOADS.slots;
  }

  private room(writes: boolean): boolean {
    return this.canLoad() || (writes && this.begun && this.stores < STORES.slots);
  }

  private close(): void {
    if (this.begun) this.length += RECORD;
    this.begun = false;
    this.loads = this.stores = 0;
    if (this.length + RECORD <= this.done.length) return;
    const more = new Uint8Array(this.done.length * 2);
    more.set(this.done);
    this.done = more;
  }

  private fetch(vpn: number): void {
    this.close();
    this.begun = true;
    this.put(0, vpn);
  }

  private data(kind: number, vpn: number): void {
    if (vpn === 0) {
      this.left.add(PAGE_ZERO);
      return;
    }
    const fits = kind === READ ? this.canLoad() : this.begun && this.stores < STORES.slots;
    if (!fits) {
      this.left.add(ADDED);
      this.fetch(vpn);
    }
    const { at } = kind === READ ? LOADS : STORES;
    this.put(at + (kind === READ ? this.loads++ : this.stores++) * 8, vpn);
  }

  private put(at: number, vpn: number): void {
    const view = new DataView(this.done.buffer, this.length + at, 8);
    view.setUint32(0, (((vpn % 2 ** 20) << 12) | OFFSET) >>> 0, true);
    view.setUint32(4, Math.floor(vpn / 2 ** 20), true);
  }
}
