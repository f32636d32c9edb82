// Blocks of addresses, which entries of all caches are about: a tag, an order, a number. Order 0 is a 4 KiB page, 9 what a
// 2 MiB leaf or one leaf table covers, 18 what 1 GiB or a table one level up does. A tag is what hardware tells spaces
// apart by: PCID; domain; domain and PASID. Blocks have dense ids, so that one cache serves pages of all sizes and walk
// caches of all levels.
import { Intern, newIntern } from './intern';
import { region } from './layout';

/** Of a tag: no PASID. */
export const NO_PASID: u32 = <u32>-1;

let blocks: Intern = changetype<Intern>(0);
let tags: Intern = changetype<Intern>(0);
let numbers: usize = 0; //   u64[blocks]
let orders: usize = 0; //    u8[blocks]
let tagOf: usize = 0; //     u32[blocks]
let domains: usize = 0; //   u32[tags]
let pasids: usize = 0; //    u32[tags]
let blockCount: u32 = 0;
let blockLimit: u32 = 0;
let tagCount: u32 = 0;
let tagLimit: u32 = 0;

/** Room for `count` blocks under `tagsInAll` tags. */
export function initBlocks(count: u32, tagsInAll: u32): void {
  blocks = newIntern(count);
  numbers = region(<usize>count << 3);
  orders = region(count);
  tagOf = region(<usize>count << 2);
  tags = newIntern(tagsInAll);
  domains = region(<usize>tagsInAll << 2);
  pasids = region(<usize>tagsInAll << 2);
  blockCount = tagCount = 0;
  blockLimit = count;
  tagLimit = tagsInAll;
}

/** 1 + the tag of a domain (or PCID) and a PASID, or 0 if there is no room. */
export function tagId(domain: u32, pasid: u32): u32 {
  const found = tags.find(domain, pasid);
  if (found != 0 || tagCount == tagLimit) return found;
  const tag = tags.id(domain, pasid, tagCount++);
  store<u32>(domains + (<usize>tag << 2), domain);
  store<u32>(pasids + (<usize>tag << 2), pasid);
  return tag + 1;
}
/** Tags so far. */
@inline
export function tagsInUse(): u32 {
  return tagCount;
}
@inline
export function domainOf(tag: u32): u32 {
  return load<u32>(domains + (<usize>(tag - 1) << 2));
}
@inline
export function pasidOf(tag: u32): u32 {
  return load<u32>(pasids + (<usize>(tag - 1) << 2));
}

/** Number and order as one: the order is the place of the lowest one bit. */
@inline
function code(order: u32, number: u64): u64 {
  return ((number << 1) | 1) << order;
}
/** 1 + the id of the block, or 0 if nothing was ever said of it. */
@inline
export function findBlock(tag: u32, order: u32, number: u64): u32 {
  return blocks.find(code(order, number), tag);
}
/** 1 + the id of the block, or 0 if there is no room. */
export function blockId(tag: u32, order: u32, number: u64): u32 {
  const found = findBlock(tag, order, number);
  if (found != 0 || blockCount == blockLimit) return found;
  const id = blocks.id(code(order, number), tag, blockCount++);
  store<u64>(numbers + (<usize>id << 3), number);
  store<u8>(orders + id, <u8>order);
  store<u32>(tagOf + (<usize>id << 2), tag);
  return id + 1;
}
@inline
export function numberOf(block: u32): u64 {
  return load<u64>(numbers + (<usize>block << 3));
}
@inline
export function orderOf(block: u32): u32 {
  return load<u8>(orders + block);
}
@inline
export function tagOfBlock(block: u32): u32 {
  return load<u32>(tagOf + (<usize>block << 2));
}

/** Whether the block and pages `first` .. `last` have a page in common. */
export function meets(block: u32, first: u64, last: u64): bool {
  const order = orderOf(block);
  const start = numberOf(block) << order;
  return start <= last && start + ((<u64>1 << order) - 1) >= first;
}
