// Small dense ids for sparse numbers: an open hash table whose size is fixed at init.
import { region } from './layout';

let keys: usize = 0; //   u64[slots]: key + 1; 0 = empty
let values: usize = 0; // u32[slots]
let mask: u32 = 0;

/** Room for `count` keys. */
export function initIntern(count: u32): void {
  const slots: u32 = 1 << (33 - <u32>clz(count + 1));
  mask = slots - 1;
  keys = region(<usize>slots << 3);
  values = region(<usize>slots << 2);
}

/** The id of `key`, which is `next` if it has none yet. */
export function intern(key: u64, next: u32): u32 {
  let slot = <u32>((key * 0x9e37_79b9_7f4a_7c15) >> 32) & mask;
  while (true) {
    const found = load<u64>(keys + (<usize>slot << 3));
    if (found == key + 1) return load<u32>(values + (<usize>slot << 2));
    if (found == 0) break;
    slot = (slot + 1) & mask;
  }
  store<u64>(keys + (<usize>slot << 3), key + 1);
  store<u32>(values + (<usize>slot << 2), next);
  return next;
}
