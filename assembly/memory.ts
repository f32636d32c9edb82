// Physical memory as walkers read it: pages of 512 words, found by physical page number. Any page number has a small
// dense index here, so that caches can hold it; words it has only once somebody has written them.
import { Intern, newIntern } from './intern';
import { region } from './layout';

const WORDS_LG2: usize = 12;

let indices: Intern = changetype<Intern>(0);
let numbers: usize = 0; // u64[pages]: physical page number of an index
let places: usize = 0; //  u32[pages]: 1 + place of its words; 0 = there is no memory
let words: usize = 0; //   u64[512][memories]
let pageCount: u32 = 0;
let pageLimit: u32 = 0;
let memoryCount: u32 = 0;
let memoryLimit: u32 = 0;

/** Room for the numbers of `pages` pages, of which `memories` have words. */
export function initMemory(pages: u32, memories: u32): void {
  indices = newIntern(pages);
  numbers = region(<usize>pages << 3);
  places = region(<usize>pages << 2);
  words = region(<usize>memories << WORDS_LG2);
  pageCount = memoryCount = 0;
  pageLimit = pages;
  memoryLimit = memories;
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

/** Where the words of a page with index `page` - 1 are, or 0 if there is no memory. */
@inline
export function wordsOf(page: u32): usize {
  const place = load<u32>(places + (<usize>(page - 1) << 2));
  return place == 0 ? 0 : words + (<usize>(place - 1) << WORDS_LG2);
}

/** Where the word at an address is; there is memory from now on. 0: no room. */
export function wordToWrite(address: u64): usize {
  const page = pageIndex(address);
  if (page == 0) return 0;
  const place = places + (<usize>(page - 1) << 2);
  if (load<u32>(place) == 0) {
    if (memoryCount == memoryLimit) return 0;
    store<u32>(place, ++memoryCount);
  }
  return wordsOf(page) + (<usize>address & 0xff8);
}
/** Where the word at an address is, or 0 if there is no memory. */
export function wordAt(address: u64): usize {
  const page = indices.find(address >> 12, 0);
  if (page == 0) return 0;
  const at = wordsOf(page);
  return at == 0 ? 0 : at + (<usize>address & 0xff8);
}
