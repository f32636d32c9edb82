import type { TraceWriter } from '../writer.ts';
import { Accesses, INFERRED, KINDS } from './accesses.ts';
import { NO_PAGE, pageOf } from './address.ts';
import { type Layout, plausibleShare, readRecords, type Window } from './binary.ts';
import { ACCEPTED, type Fate, type Importer } from './importer.ts';
import { Runs } from './runs.ts';

/**
 * ChampSim's `input_instr` and CloudSuite's `cloudsuite_instr` (inc/trace_instruction.h): one record an instruction,
 * without header. ip, two branch flags, registers, then slots of stores and of loads; 0 is an empty slot.
 */
interface Slots {
  readonly size: number;
  /** Byte of the first slot, and slots. */
  readonly stores: readonly [at: number, slots: number];
  readonly loads: readonly [at: number, slots: number];
}

const PLAIN: Slots = { size: 64, stores: [16, 2], loads: [32, 4] };
const CLOUD: Slots = { size: 96, stores: [24, 4], loads: [56, 4] };

/** Data addresses below this are register numbers that the tracer wrote past the end of a full slot array. */
const LOWEST = 0x1000;
/** Share of the first records that have to look like records. */
const SURE = 0.9;

const NO_RECORD = 'an instruction with two branch flags of 0 or 1 and canonical addresses';

/** ChampSim traces of 64-byte records. */
export const champsim: Importer = importerOf('champsim', 'ChampSim instruction trace, 64-byte records', PLAIN, CLOUD);

/** CloudSuite traces of 96-byte records. */
export const cloudsuite: Importer = importerOf(
  'champsim-cloudsuite',
  'ChampSim instruction trace of CloudSuite, 96-byte records',
  CLOUD,
  PLAIN,
);

function importerOf(name: string, summary: string, slots: Slots, other: Slots): Importer {
  return {
    name,
    summary,
    source: 'ChampSim inc/trace_instruction.h',

    sniff(head) {
      const share = plausibleShare({ ...layoutOf(slots), take: () => ACCEPTED }, head);
      return share > SURE && share > plausibleShare({ ...layoutOf(other), take: () => ACCEPTED }, head);
    },

    async read(input, out, options) {
      const reader = new Reader(out, slots);
      const layout = { ...layoutOf(slots), take: (window: Window, at: number) => reader.take(window, at) };
      const tally = await readRecords(input, options, layout);
      reader.end();
      const inferred: string[] = [
        `Records have ${slots.size} bytes: nothing in the file says so, the first ones look like it.`,
        INFERRED.threads,
        'Accesses have no size, and instructions no length: none crosses into the next page.',
        'Loads of an instruction come before its stores.',
        INFERRED.changes,
        INFERRED.time,
      ];
      if (reader.low > 0)
        inferred.push(
          `${reader.low} data addresses below 0x1000 are left out: the tracer writes register numbers there where slots are full.`,
        );
      return { tally: tally.finish(), inferred };
    },
  };
}

function layoutOf({ size, stores, loads }: Slots): Omit<Layout, 'take'> {
  const slots = [...slotsOf(stores), ...slotsOf(loads)];
  /** Word of the first slot: slots go on to the end of the record. */
  const first = stores[0] / 4;
  return {
    size,
    expected: NO_RECORD,
    plausible({ bytes, words }, at) {
      if (bytes[at + 8]! > 1 || bytes[at + 9]! > 1) return false;
      // Where bytes were lost, a record may begin anywhere; words are for what begins at one.
      if (at % 4 !== 0) return plausibleBytes(bytes, at, slots);
      const w = at / 4;
      if ((words[w]! | words[w + 1]!) === 0) return false;
      // All in the lower half, as nearly always: one look at the upper bits of all.
      let upper = words[w + 1]!;
      for (let slot = first; slot < size / 4; slot += 2) upper |= words[w + slot + 1]!;
      if (upper >>> 25 === 0) return true;
      if (pageOf(words[w]!, words[w + 1]!) === NO_PAGE) return false;
      for (const slot of slots) {
        if (pageOf(words[w + slot / 4]!, words[w + slot / 4 + 1]!) === NO_PAGE) return false;
      }
      return true;
    },
  };
}

function plausibleBytes(bytes: Uint8Array, at: number, slots: readonly number[]): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.byteLength - at);
  const word = (byte: number): number => view.getUint32(byte, true);
  if ((word(0) | word(4)) === 0) return false;
  return [0, ...slots].every((slot) => pageOf(word(slot), word(slot + 4)) !== NO_PAGE);
}

function slotsOf([at, slots]: readonly [number, number]): number[] {
  return Array.from({ length: slots }, (_, i) => at + i * 8);
}

class Reader {
  low = 0;
  private readonly runs: Runs;
  constructor(
    out: TraceWriter,
    private readonly slots: Slots,
  ) {
    this.runs = new Runs(out, new Accesses(out).agent());
  }

  take({ words }: Window, at: number): Fate {
    const w = at / 4;
    this.runs.touch(KINDS.fetch, pageOf(words[w]!, words[w + 1]!), 0);
    const { loads, stores } = this.slots;
    this.data(words, w + loads[0] / 4, loads[1], KINDS.read);
    this.data(words, w + stores[0] / 4, stores[1], KINDS.write);
    return ACCEPTED;
  }

  /** Behind the last record. */
  end(): void {
    this.runs.settle();
  }

  private data(words: Uint32Array, at: number, slots: number, kind: number): void {
    for (let i = at; i < at + slots * 2; i += 2) {
      const low = words[i]!;
      const high = words[i + 1]!;
      if ((low | high) === 0) continue;
      if (high === 0 && low < LOWEST) this.low++;
      else this.runs.touch(kind, pageOf(low, high), 0);
    }
  }
}
