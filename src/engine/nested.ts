import { Translation } from './translation.ts';

/** Levels of guest and host tables, and the levels of their leaves: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
export interface NestedShape {
  readonly guestLevels: number;
  readonly hostLevels: number;
  readonly guestLeaf: number;
  readonly hostLeaf: number;
}

/** Least and most. */
type Range = readonly [number, number];
/** Levels that VT-d tables of either stage can have. */
export const NESTED_LEVELS: Readonly<Record<'guest' | 'host', Range>> = { guest: [4, 5], host: [3, 5] };
export const NESTED_LEAVES: Range = [1, 3];

const SOURCE = 0x28;
/** Root, context, directory and PASID entry, before the tables. */
const STRUCTURES = 4;
const ADDRESS = 0x4020_1000n;
/** Of a root-table address register: TTM is scalable mode. */
const SCALABLE = 0x400n;

/** Bytes that an entry at a level covers. */
const sizeAt = (level: number): bigint => 1n << BigInt(3 + 9 * level);

/** Memory references of a nested walk (VT-d first stage over second stage) with nothing cached. */
export function nestedReferences(module: WebAssembly.Module, shape: NestedShape): number {
  const translation = new Translation(module);
  const image = new Map<bigint, bigint>();
  let free = 0x10_0000n;
  const page = (): bigint => {
    free += 0x1000n;
    return free;
  };
  const slot = (table: bigint, address: bigint, level: number): bigint =>
    table + ((address >> BigInt(3 + 9 * level)) & 0x1ffn) * 8n;
  // Guest-physical and host-physical addresses are the same.
  const hostRoot = page();
  const reach = (address: bigint): void => {
    let table = hostRoot;
    for (let level = shape.hostLevels; level > shape.hostLeaf; level--) {
      const at = slot(table, address, level);
      if (!image.has(at)) image.set(at, page() | 3n);
      table = image.get(at)! & ~0xfffn;
    }
    image.set(
      slot(table, address, shape.hostLeaf),
      (address & -sizeAt(shape.hostLeaf)) | (shape.hostLeaf > 1 ? 0x83n : 3n),
    );
  };
  const guestRoot = page();
  let guest = guestRoot;
  for (let level = shape.guestLevels; level > shape.guestLeaf; level--) {
    reach(guest);
    const next = page();
    image.set(slot(guest, ADDRESS, level), next | 0x27n);
    guest = next;
  }
  reach(guest);
  const target = 0x8000_0000n;
  image.set(slot(guest, ADDRESS, shape.guestLeaf), target | (shape.guestLeaf > 1 ? 0xe7n : 0x67n));
  reach(target | (ADDRESS & (sizeAt(shape.guestLeaf) - 1n)));
  const root = page();
  const context = page();
  const directory = page();
  const pasids = page();
  image.set(root, context | 1n);
  image.set(context + BigInt(SOURCE) * 32n, directory | 1n);
  image.set(directory, pasids | 1n);
  image.set(pasids, hostRoot | (3n << 6n) | (BigInt(shape.hostLevels - 2) << 2n) | 1n);
  image.set(pasids + 8n, 1n);
  image.set(pasids + 16n, guestRoot | (BigInt(shape.guestLevels - 4) << 2n));
  for (const [address, word] of image) translation.write(address, word);
  const { status, reads } = translation.vtd(root | SCALABLE, { address: ADDRESS, access: 'r' }, SOURCE);
  if (status !== 'ok') throw new Error(`nested walk: ${status}`);
  return reads.length - STRUCTURES;
}
