import { gzipSync } from 'node:zlib';
import { Interrupted } from '../model/errors.ts';
import { openOutput } from '../trace/output.ts';
import { interrupted } from './interrupt.ts';

/** Lets signals and closed pipes through between two pieces of a long result. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  if (interrupted.aborted) throw new Interrupted('interrupted');
}

/** The text compressed, the same bytes on every system: the header names none (RFC 1952, OS = 255). */
export function gzipped(text: Iterable<string>): Uint8Array[] {
  const bytes = gzipSync([...text].join(''));
  bytes[9] = 255;
  return [bytes];
}

/** Text or bytes to stdout, waiting where the reader is slow, or to a file that appears whole. */
export async function emit(text: string | Iterable<string | Uint8Array>, path?: string): Promise<void> {
  const pieces = typeof text === 'string' ? [text] : text;
  if (path === undefined || path === '-') {
    for (const piece of pieces) {
      if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve));
      await turn();
    }
    return;
  }
  const file = openOutput(path);
  try {
    const encoder = new TextEncoder();
    for (const piece of pieces) {
      file.write(typeof piece === 'string' ? encoder.encode(piece) : piece);
      await turn();
    }
    file.commit();
  } finally {
    file.discard();
  }
}
