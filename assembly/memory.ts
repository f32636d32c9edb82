// Physical memory as walkers read it: pages of 512 words, found by physical page number. Any page number has a small
// dense index here, so that caches can hold it; words it has only once somebody has written them.
//
// Words are kept in one of three ways: all 512; by a map, u32[512], of ids into one column of words, which is how the leaf
// tables of a machine share it with the list of its pages; or one by one, for tables with few entries.
import { Intern, newIntern } from './intern';
import { region } from './layout';

const PAGE_BYTES: usize = 4096;
// Kinds of a place, in its low bits; places lie on lines.
const IS_MAPPED: u32 = 1;
const IS_THIN: u32 = 2;
const KINDS: u32 = 3;

let indices: Intern = changetype<Intern>(0);
let numbers: usize = 0; // u64[pages]: physical page number of an index
let places: usize = 0; //  u32[pages]: where its words are, and a kind; 0 = there is no memory
let pageCount: u32 = 0;
let pageLimit: u32 = 0;
let words: usize = 0; //   u64[512][memories]
let memoryCount: u32 = 0;
let memoryLimit: u32 = 0;
let column: usize = 0; //  u64 by id, of mapped pages
let thin: Intern = changetype<Intern>(0);
let thinWords: usize = 0; // u64[thin]
let thinCount: u32 = 0;
/** What is read where a page with words of its own has none. */
const nothing: usize = memory.data(8);

/** Room for the numbers of `pages` pages, of which `memories` have 512 words each, and for the places of `singles` words in thin pages. */
export function initMemory(pages: u32, memories: u32, singles: u32): void {
  indices = newIntern(pages);
  numbers = region(<usize>pages << 3);
  places = region(<usize>pages << 2);
  words = region(<usize>memories * PAGE_BYTES);
  thin = newIntern(singles);
  pageCount = memoryCount = thinCount = 0;
  pageLimit = pages;
  memoryLimit = memories;
}
/** The words of thin pages: u64[singles]. */
export function setSingles(at: usize): void {
  thinWords = at;
}
/** The words of all mapped pages. */
export function setColumn(at: usize): void {
  column = at;
}

/** 1 + the index of the page that an address lies in, or 0 if there is no room for one more. */
export function pageIndex(address: u64): u32 {
  const number = address >> 12;
  const found = indices.find(number, 0);
  if (found != 0) return found;
  if (pageCount == pageLimit) return 0;
  const index = indices.id(number, 0, pageCount++);
  store<u64>(numbers + (<usize>index << 3), number);
  return index + 1;
}
/** First address of the page with index `page` - 1. */
@inline
export function pageAddress(page: u32): u64 {
  return load<u64>(numbers + (<usize>(page - 1) << 3)) << 12;
}
@inline
function placeAt(page: u32): usize {
  return places + (<usize>(page - 1) << 2);
}

/** Where the word at an offset of a page with index `page` - 1 is read, or 0 if there is no memory. */
export function wordIn(page: u32, offset: usize): usize {
  const place = load<u32>(placeAt(page));
  if ((place & KINDS) == 0) return place == 0 ? 0 : <usize>place + offset;
  const id = place == IS_THIN ? thin.find(page, <u32>offset) : load<u32>(<usize>(place & ~KINDS) + (offset >> 1));
  if (id == 0) return nothing;
  return (place == IS_THIN ? thinWords : column) + (<usize>(id - 1) << 3);
}

/** The page's words are those of the column that a map, u32[512] of id + 1, names. */
export function mapPage(page: u32, map: usize): void {
  store<u32>(placeAt(page), <u32>map | IS_MAPPED);
}
/** Writes a word of a thin page. */
export function writeThin(page: u32, offset: u32, value: u64): void {
  store<u32>(placeAt(page), IS_THIN);
  const id = thin.id(page, offset, thinCount);
  if (id == thinCount) thinCount++;
  store<u64>(thinWords + (<usize>id << 3), value);
}

/** Where the word at an address is, to be written; there is memory from now on. 0: no room. */
export function wordToWrite(address: u64): usize {
  const page = pageIndex(address);
  if (page == 0) return 0;
  if (load<u32>(placeAt(page)) == 0) {
    if (memoryCount == memoryLimit) return 0;
    store<u32>(placeAt(page), <u32>(words + <usize>(memoryCount++) * PAGE_BYTES));
  }
  return wordIn(page, <usize>address & 0xff8);
}
/** Where the word at an address is, or 0 if there is no memory. */
export function wordAt(address: u64): usize {
  const page = indices.find(address >> 12, 0);
  return page == 0 ? 0 : wordIn(page, <usize>address & 0xff8);
}
