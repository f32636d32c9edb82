import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RUN_OPS, type TracePage } from '../../src/model/trace.ts';
import type { Trace } from '../../src/trace/reader.ts';
import { recordsOf } from '../../src/trace/records.ts';
import { NATIVE, ROOT } from '../harness.ts';

/** What tlb_ref prints. */
interface NativeResult {
  readonly accesses: number;
  readonly misses: number;
  readonly l2Misses: number;
  /** CPU time per access. */
  readonly ns: number;
}

/** The yardstick, compiled in a folder of its own. */
export class Native {
  private constructor(
    private readonly folder: string,
    private readonly program: string,
  ) {}

  /** Compiles tlb_ref.cc with the first C++ compiler found; undefined, and a line that says so, where there is none. */
  static compile(): Native | undefined {
    const folder = mkdtempSync(join(tmpdir(), 'iommulator-bench-'));
    const program = join(folder, 'tlb_ref');
    const source = join(ROOT, 'bench/native/tlb_ref.cc');
    for (const compiler of ['c++', 'g++', 'clang++']) {
      const args = ['-O3', '-march=native', '-std=c++17', '-o', program, source];
      const { status, stderr, error } = spawnSync(compiler, args, { encoding: 'utf8' });
      if (status === 0) return new Native(folder, program);
      if (!error) throw new Error(`${compiler} does not compile tlb_ref.cc:\n${stderr}`);
    }
    rmSync(folder, { recursive: true });
    if (NATIVE) throw new Error('--native: no C++ compiler was found, expected one of c++, g++, clang++');
    console.log('no C++ compiler found: no ratios');
    return undefined;
  }

  /** Counts a trace; the least CPU time of the repeats. */
  run(trace: Trace, mode: 'unified' | 'split', dataOnly: boolean, repeats: number): NativeResult {
    const file = join(this.folder, 'records');
    writeNative(trace, file, dataOnly);
    const { status, stdout, stderr } = spawnSync(this.program, [mode, file, `${repeats}`], { encoding: 'utf8' });
    rmSync(file);
    if (status !== 0) throw new Error(`tlb_ref failed: ${stderr}`);
    return JSON.parse(stdout) as NativeResult;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

/**
 * Writes a trace in the input format of tlb_ref. Accesses of merged runs come one after the other from where they
 * begin, those of the record's own kind first. Second halves are accesses of their own, one byte long, so that nothing is split twice.
 */
function writeNative(trace: Trace, file: string, dataOnly: boolean): void {
  const fd = openSync(file, 'w');
  const block = new DataView(new ArrayBuffer(1 << 20));
  let length = 0;
  const flush = (): void => {
    writeSync(fd, new Uint8Array(block.buffer, 0, length));
    length = 0;
  };
  const put = (vpn: number, kind: number): void => {
    if (length === block.byteLength) flush();
    // address = vpn << 12, in two words.
    block.setUint32(length, (vpn * 4096) >>> 0, true);
    block.setUint32(length + 4, ((1 << 20) | (kind << 16) | Math.floor(vpn / (1 << 20))) >>> 0, true);
    length += 8;
  };
  const pages: TracePage[] = [];
  let fetchVpn = 0;
  let dataVpn = 0;
  for (const chunk of trace.chunks()) {
    for (const page of chunk.pages) pages.push(page);
    for (const record of recordsOf(chunk, pages)) {
      if (!('run' in record)) continue;
      const { run, page } = record;
      if (run.op === 'fetch') fetchVpn = page.vpn;
      else dataVpn = page.vpn;
      const fetches = (): void => {
        for (let i = 0; !dataOnly && i < run.fetches; i++) put(fetchVpn, 0);
      };
      if (run.op === 'fetch') fetches();
      for (let i = 0; i < run.datas; i++) put(dataVpn, RUN_OPS.indexOf('read'));
      if (run.op !== 'fetch') fetches();
    }
  }
  flush();
  closeSync(fd);
}
