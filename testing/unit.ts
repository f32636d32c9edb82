import { numbersOf } from '../src/engine/encode.ts';
import { type Instance, instantiate } from '../src/engine/load.ts';

/** What the module exports for a queue by itself; see assembly/unit.ts. */
interface UnitExports {
  configAt(): number;
  unitInit(bytes: number): void;
  unitSlot(slot: number): number;
  unitHead(): number;
  unitTail(bytes: number): void;
  unitClear(faults: number): void;
  unitClearWaited(): void;
  unitRestart(): void;
  unitDisable(): number;
  unitAnswer(device: number, itag: number): void;
  unitDefer(): number;
  unitRun(ps: number): void;
  registersAt(): number;
  statusAt(): number;
  pasidStateAt(): number;
  eventLogAt(): number;
  eventHead(): number;
  eventTail(): number;
  setEventHead(head: number): void;
  restartEventLog(): void;
}

/** A queue's shape. */
export interface UnitShape {
  readonly commands: 'vtd' | 'amd';
  readonly slots?: number;
  /** Of a slot. */
  readonly bytes?: 16 | 32;
  /** Devices lose every so-manieth ATS invalidation. */
  readonly loses?: number;
  readonly caps?: readonly string[];
}

/** Times of the unit, picoseconds: an IOTLB command, a wait, an ATS request and its answer, the IOMMU's patience. */
export const TIMES = { iotlb: 100, wait: 1000, device: 5000, timeout: 1e6 };

/** In the order of assembly/registers.ts. */
const REGISTERS = ['fsts', 'iqei', 'itesid', 'icesid', 'ics', 'iectl', 'status'] as const;

/** Where status words lie: assembly/ring.ts STATUS_BASE. */
const STATUS_BASE = 0x1000_0000n;

/** An IOMMU's queue as its driver sees it: slots and registers. */
export class Unit {
  private readonly instance: Instance<UnitExports>;
  private readonly bytes: number;

  constructor(module: WebAssembly.Module, shape: UnitShape) {
    const { commands, slots = 256, bytes = 16, loses = 0, caps = [] } = shape;
    this.bytes = bytes;
    this.instance = instantiate<UnitExports>(module);
    const { exports, memory } = this.instance;
    const number = numbersOf(exports);
    const config = new Float64Array(memory.buffer, exports.configAt(), number('CONFIG_WORDS'));
    config[number('SET_COMMANDS')] = commands === 'amd' ? 1 : 0;
    config[number('SET_RING')] = slots;
    config[number('SET_ATS')] = 1;
    config[number('SET_LOSES')] = loses;
    config[number('SET_TIMEOUT')] = TIMES.timeout;
    config[number('SET_CAPS')] = caps.reduce((sum, name) => sum + number(`CAP_${name}`), 18);
    const cost = (name: string, ps: number): void => {
      config[number('CONFIG_COSTS') + number(name)] = ps;
    };
    cost('COST_INV_PAGE', TIMES.iotlb);
    cost('COST_INV_DOMAIN', TIMES.iotlb);
    cost('COST_WAIT', TIMES.wait);
    cost('COST_INV_DEVICE', TIMES.device);
    exports.unitInit(bytes);
  }

  /** Writes a command into a slot. */
  write(slot: number, words: readonly bigint[]): void {
    const at = this.instance.exports.unitSlot(slot);
    new BigUint64Array(this.instance.memory.buffer, at, this.bytes / 8).set(words);
  }

  /** Writes the tail register, and lets time pass: as long as it takes, or `ps`. */
  tail(bytes: number, ps = 1e5): void {
    this.instance.exports.unitTail(bytes);
    this.run(ps);
  }
  run(ps: number): void {
    this.instance.exports.unitRun(ps);
  }

  get head(): number {
    return this.instance.exports.unitHead();
  }
  get registers(): Record<(typeof REGISTERS)[number], number> {
    const view = new Uint32Array(this.instance.memory.buffer, this.instance.exports.registersAt(), REGISTERS.length);
    return Object.fromEntries(REGISTERS.map((name, i) => [name, view[i]!])) as Record<
      (typeof REGISTERS)[number],
      number
    >;
  }

  clearFaults(bits: number, ps = 1e5): void {
    this.instance.exports.unitClear(bits);
    this.run(ps);
  }
  clearWaited(): void {
    this.instance.exports.unitClearWaited();
  }
  restart(): void {
    this.instance.exports.unitRestart();
    this.run(1e5);
  }
  /** Whether nothing is left and the last command was a wait. */
  disable(): boolean {
    return this.instance.exports.unitDisable() !== 0;
  }
  answer(device: number, itag: number): void {
    this.instance.exports.unitAnswer(device, itag);
  }

  /** Address of the status word of a slot, and what it holds. */
  address(slot: number): bigint {
    return STATUS_BASE + BigInt(slot * 8);
  }
  status(slot: number): number {
    return Number(this.words(this.instance.exports.statusAt() + slot * 8, 1)[0]);
  }

  /** The PASID-state entry. */
  get pasidState(): bigint {
    return this.words(this.instance.exports.pasidStateAt(), 1)[0]!;
  }
  set pasidState(value: bigint) {
    this.words(this.instance.exports.pasidStateAt(), 1)[0] = value;
  }
  defer(): boolean {
    return this.instance.exports.unitDefer() !== 0;
  }

  /** Unread entries of the event log. */
  get events(): { code: number; device: number; address: bigint }[] {
    const { exports } = this.instance;
    const head = exports.eventHead();
    return Array.from({ length: exports.eventTail() - head }, (_, i) => {
      const [low, address] = this.words(exports.eventLogAt() + (head + i) * 16, 2) as unknown as [bigint, bigint];
      return { code: Number(low >> 60n), device: Number(low & 0xffffn), address };
    });
  }
  /** Software has read the log, and starts it anew if it has overflowed. */
  readEvents(): void {
    const { exports } = this.instance;
    exports.setEventHead(exports.eventTail());
    exports.restartEventLog();
  }

  private words(at: number, count: number): BigUint64Array {
    return new BigUint64Array(this.instance.memory.buffer, at, count);
  }
}
