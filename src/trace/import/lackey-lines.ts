import { engineModule } from '../module.ts';
import type { RunColumns, TraceWriter } from '../writer.ts';

/** What is called of the engine (assembly/lackey.ts). Addresses and counts are u32. */
interface Exports {
  readonly LACKEY_BEHIND: WebAssembly.Global;
  readonly LACKEY_BYTES: WebAssembly.Global;
  readonly LACKEY_RECORDS: WebAssembly.Global;
  lackeyOpen(): number;
  lackeyInit(interleaved: number, left: number): void;
  lackeyPages(): number;
  lackeyHeads(): number;
  lackeyFetches(): number;
  lackeyDatas(): number;
  lackeyRecords(): number;
  lackeyLines(): number;
  lackeySettle(): void;
  lackeyRestart(left: number): void;
  lackeyScan(at: number, end: number): number;
  lackeyLine(at: number): number;
}

/** One instance of the engine, and where its buffers are. It serves one recording at a time. */
interface Scanner {
  readonly engine: Exports;
  /** Bytes of lines, at most. */
  readonly most: number;
  /** u8[most + behind]. */
  readonly text: Uint8Array;
  readonly behind: number;
  readonly columns: RunColumns;
}

/** Scanners without a recording: to make one takes longer than a short recording. */
const idle: Scanner[] = [];

function newScanner(): Scanner {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const abort = (): never => {
    throw new Error('engine: assertion failed');
  };
  const { exports } = new WebAssembly.Instance(engineModule(), { env: { memory, abort } });
  const engine = exports as unknown as Exports;
  const text = engine.lackeyOpen();
  const { buffer } = memory;
  const [most, behind, records] = [engine.LACKEY_BYTES, engine.LACKEY_BEHIND, engine.LACKEY_RECORDS].map(
    ({ value }) => value as number,
  ) as [number, number, number];
  return {
    engine,
    most,
    text: new Uint8Array(buffer, text, most + behind),
    behind,
    columns: {
      pages: new Float64Array(buffer, engine.lackeyPages(), records),
      heads: new Uint8Array(buffer, engine.lackeyHeads(), records),
      fetches: new Uint16Array(buffer, engine.lackeyFetches(), records),
      datas: new Uint16Array(buffer, engine.lackeyDatas(), records),
    },
  };
}

/** Access lines, read by the engine, on their way to the writer, and the events between them. */
export class AccessLines {
  private readonly scanner = idle.pop() ?? newScanner();
  private readonly engine = this.scanner.engine;

  constructor(
    private readonly out: TraceWriter,
    private readonly agent: number,
  ) {
    this.engine.lackeyInit(out.interleaved ? 1 : 0, out.left);
  }

  /** Bytes that are loaded at a time, at most. */
  get most(): number {
    return this.scanner.most;
  }

  /** Another recording may follow. */
  close(): void {
    idle.push(this.scanner);
  }

  /** Takes whole lines, at most `most` bytes of them. Zeros lie behind them. */
  load(bytes: Uint8Array): void {
    const { text, behind } = this.scanner;
    text.set(bytes);
    text.fill(0, bytes.length, bytes.length + behind);
  }

  /** Reads access lines from byte `at` on; where the first line begins that is none, or `end`, which is behind a newline. */
  scan(at: number, end: number): number {
    let [from, next] = [-1, at];
    while (next < end && next !== from) {
      from = next;
      next = this.engine.lackeyScan(from, end);
      this.write();
    }
    return next;
  }

  /** Reads the one access line at byte `at`; whether it is one. Its newline is loaded. It is not among the `taken`. */
  line(at: number): boolean {
    return this.engine.lackeyLine(at) === 1;
  }

  /** Lines read since the last call. */
  taken(): number {
    return this.engine.lackeyLines();
  }

  /** Writes the record whose counts might still have grown. */
  settle(): void {
    this.engine.lackeySettle();
    this.write();
  }

  /** An event behind all accesses so far. */
  event(...event: Parameters<TraceWriter['event']>): void {
    this.settle();
    this.out.event(...event);
    this.engine.lackeyRestart(this.out.left);
  }

  private write(): void {
    this.out.merged(this.agent, this.scanner.columns, this.engine.lackeyRecords());
  }
}
