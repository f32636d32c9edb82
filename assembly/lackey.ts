// Access lines of valgrind's lackey, from bytes to the records of a trace. All other lines are for the host.
//
//   I  04001000,3       kind, a space, the address in lower-case hexadecimal digits, a comma, the size in decimal digits,
//    S 1ffeffe008,8     a newline, perhaps a return before it
//
// Three lines of four are of the page of the last one of their kind: they begin with the same bytes, their lead, up to the
// last three digits of the address. The last record is pending: its counts grow until the next one starts.
import { CHUNK_RECORDS, HEAD_STRADDLE, MAX_VPN, OP_FETCH, OP_READ, OP_WRITE, openArena, region } from './layout';

/** Bytes that are scanned at a time, at most. */
export const LACKEY_BYTES: u32 = 1 << 20;
/** Records that there is room for before the host takes them. */
export const LACKEY_RECORDS: u32 = 1 << 16;
/** The largest access makes 17. */
const FULL: u32 = LACKEY_RECORDS - 17;
/** Zeros behind them: lines are read some bytes at a time. */
export const LACKEY_BEHIND: u32 = 32;

const MAX_RUN: u32 = 0xffff; // model/limits.ts
const MAX_SIZE: u32 = 1 << 16; // src/trace/import/address.ts
const NO_PAGE: u64 = u64.MAX_VALUE;

const LETTER_I: u32 = 0x49;
const LETTER_L: u32 = 0x4c;
const LETTER_M: u32 = 0x4d;
const LETTER_S: u32 = 0x53;
const SPACE: u32 = 0x20;
const COMMA: u32 = 0x2c;
const NEWLINE: u32 = 0x0a;
const RETURN: u32 = 0x0d;
const DIGIT_0: u32 = 0x30;
const LETTER_A: u32 = 0x61;
/** Of the bytes of a lead, all but the letter of a data access. */
const BUT_LETTER: u64 = ~(<u64>0xff00);

let text: usize = 0; //    u8[LACKEY_BYTES + LACKEY_BEHIND], written by the host
let pages: usize = 0; //   f64[LACKEY_RECORDS] page numbers
let heads: usize = 0; //   u8[LACKEY_RECORDS] OP_*, and HEAD_STRADDLE
let fetches: usize = 0; // u16[LACKEY_RECORDS]
let datas: usize = 0; //   u16[LACKEY_RECORDS]
let records: u32 = 0; //   since the host last took them
let lines: u32 = 0; //     the same
let merges: bool = true;
let room: u32 = 0; // records that still go into the chunk of the writer: all runs end with it

let pending: bool = false;
let page: u64 = 0; // of the pending record, and so on
let head: u32 = 0;
let fetchCount: u32 = 0;
let dataCount: u32 = 0;
let fetchPage: u64 = NO_PAGE; // of the open run of fetches
let dataPage: u64 = NO_PAGE;
let dataWrites: bool = false;

/** What the lines of a page have in common. */
@unmanaged
class Lead {
  first: u64; // eight bytes from the beginning on, without the letter of a data access; 0: none
  last: u64; //  the last eight bytes
  length: usize; // 8..16
  page: u64;
}
let fetchLead: Lead = changetype<Lead>(0);
let dataLead: Lead = changetype<Lead>(0);

/** Once for all recordings. Returns the address of the text. */
export function lackeyOpen(): usize {
  openArena();
  text = region(LACKEY_BYTES + LACKEY_BEHIND);
  pages = region(LACKEY_RECORDS << 3);
  heads = region(LACKEY_RECORDS);
  fetches = region(LACKEY_RECORDS << 1);
  datas = region(LACKEY_RECORDS << 1);
  fetchLead = changetype<Lead>(region(offsetof<Lead>()));
  dataLead = changetype<Lead>(region(offsetof<Lead>()));
  return text;
}

/** A new recording, in whose chunk there is room for `left` records. */
export function lackeyInit(interleaved: u32, left: u32): void {
  merges = interleaved == 0;
  records = lines = 0;
  pending = false;
  fetchLead.first = dataLead.first = 0;
  fetchLead.length = dataLead.length = 8;
  lackeyRestart(left);
}

export function lackeyPages(): usize {
  return pages;
}
export function lackeyHeads(): usize {
  return heads;
}
export function lackeyFetches(): usize {
  return fetches;
}
export function lackeyDatas(): usize {
  return datas;
}

/** Records since the last call. */
export function lackeyRecords(): u32 {
  const taken = records;
  records = 0;
  return taken;
}

/** Lines since the last call. */
export function lackeyLines(): u32 {
  const taken = lines;
  lines = 0;
  return taken;
}

/** The pending record is complete. */
export function lackeySettle(): void {
  emit();
  pending = false;
}

/** After somebody else has written: no run goes on, and `left` records go into the chunk. */
export function lackeyRestart(left: u32): void {
  fetchPage = dataPage = NO_PAGE;
  room = left;
}

/**
 * Reads access lines from byte `at` on up to `end`, which is behind a newline. Returns where it stopped: at `end`, at a line
 * that is no access line, or where the host has to take records first.
 */
export function lackeyScan(at: u32, end: u32): u32 {
  const stop = text + end;
  let p = text + at;
  while (p < stop && records < FULL) {
    let next = again(p);
    if (next == 0) next = line(p);
    if (next == 0) break;
    p = next;
    lines++;
  }
  return <u32>(p - text);
}

/** Takes the one access line at byte `at`; 0 if it is none. */
export function lackeyLine(at: u32): u32 {
  return line(text + at) == 0 ? 0 : 1;
}

/** Counts the line at `p` if it begins with a known lead; where the next one begins, or 0. */
@inline
function again(p: usize): usize {
  const bytes = load<u64>(p);
  const letter = <u32>(bytes >> 8) & 0xff;
  const lead = letter == SPACE ? fetchLead : dataLead;
  const end = p + lead.length;
  if ((bytes & BUT_LETTER) != lead.first || load<u64>(end - 8) != lead.last) return 0;
  const tail = load<u64>(end);
  if ((tail & 0xff00_ff00_0000) != 0x0a00_2c00_0000) return 0;
  const size = (<u32>(tail >> 32) & 0xff) - DIGIT_0;
  const high = digit(<u32>tail & 0xff);
  const middle = digit((<u32>tail >> 8) & 0xff);
  const low = digit((<u32>tail >> 16) & 0xff);
  if (size - 1 >= 9 || (high | middle | low) >= 16 || ((high << 8) | (middle << 4) | low) + size > 4096) return 0;
  if (letter == SPACE) fetch(lead.page, 0);
  else if (letter == LETTER_L) data(OP_READ, lead.page, 0);
  else if (letter == LETTER_S || letter == LETTER_M) data(OP_WRITE, lead.page, 0);
  else return 0;
  return end + 6;
}

/** Takes the access line at `p`; where the next one begins, or 0 if it is none. A newline follows somewhere: it stops every loop. */
function line(p: usize): usize {
  const first = <u32>load<u8>(p);
  const letter = <u32>load<u8>(p + 1);
  let op = OP_FETCH;
  if (first == SPACE) {
    if (letter == LETTER_L) op = OP_READ;
    else if (letter == LETTER_S || letter == LETTER_M) op = OP_WRITE;
    else return 0;
  } else if (first != LETTER_I || letter != SPACE) return 0;
  if (load<u8>(p + 2) != SPACE) return 0;

  const digits = p + 3;
  let q = digits;
  let address: u64 = 0;
  const nibbles = eightDigits(load<u64>(q));
  if (nibbles != NO_PAGE) {
    address = nibbles;
    q += 8;
  }
  for (let value = digit(load<u8>(q)); value < 16; value = digit(load<u8>(q))) {
    address = (address << 4) | value;
    if (++q > digits + 16) return 0;
  }
  const length = q - digits;
  if (length == 0 || load<u8>(q) != COMMA) return 0;

  const decimals = ++q;
  let size: u32 = 0;
  for (let value = <u32>load<u8>(q) - DIGIT_0; value < 10; value = <u32>load<u8>(q) - DIGIT_0) {
    size = size * 10 + value;
    if (++q > decimals + 5) return 0;
  }
  if (size == 0 || size > MAX_SIZE) return 0;
  if (load<u8>(q) == RETURN) q++;
  if (load<u8>(q) != NEWLINE) return 0;

  const vpn = address >> 12;
  const more = ((<u32>address & 0xfff) + size - 1) >> 12;
  if (vpn + more > MAX_VPN) return 0;
  access(op, vpn, 0);
  for (let i: u64 = 1; i <= more; i++) access(op, vpn + i, HEAD_STRADDLE);
  const lead = op == OP_FETCH ? fetchLead : dataLead;
  lead.first = 0;
  // The lead has three bytes more than the digits of the page, which are three fewer than those of the address.
  if (length >= 8) {
    lead.first = load<u64>(p) & BUT_LETTER;
    lead.last = load<u64>(p + length - 8);
    lead.length = length;
    lead.page = vpn;
  }
  return q + 1;
}

/** Value of a digit; 16 or more if it is none. */
@inline
function digit(character: u32): u32 {
  const value = character - DIGIT_0;
  return value < 10 ? value : character - LETTER_A < 6 ? character - LETTER_A + 10 : 16;
}

/** Value of eight digits, the first in the lowest byte; NO_PAGE if one of them is none. */
@inline
function eightDigits(bytes: u64): u64 {
  // A letter has bit 6, and 1 for `a` in its lower half.
  let values = (bytes & 0x0f0f_0f0f_0f0f_0f0f) + ((bytes >> 6) & 0x0101_0101_0101_0101) * 9;
  // What is a digit is printed so again.
  const letters = ((values + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
  if ((values & 0x1010_1010_1010_1010) != 0 || values + 0x3030_3030_3030_3030 + letters * 0x27 != bytes) return NO_PAGE;
  values = bswap<u64>(values);
  values = (values | (values >> 4)) & 0x00ff_00ff_00ff_00ff;
  values = (values | (values >> 8)) & 0x0000_ffff_0000_ffff;
  return (values | (values >> 16)) & 0xffff_ffff;
}

function access(op: u32, vpn: u64, straddle: u32): void {
  if (op == OP_FETCH) fetch(vpn, straddle);
  else data(op, vpn, straddle);
}

/** The rules of runs are those of `TraceWriter.access`. */
@inline
function fetch(vpn: u64, straddle: u32): void {
  if (vpn == fetchPage && fetchCount < MAX_RUN && straddle == 0) {
    fetchCount++;
    return;
  }
  start(OP_FETCH | straddle, vpn);
  fetchCount = 1;
  dataCount = 0;
  fetchPage = straddle == 0 && merges ? vpn : NO_PAGE;
}

@inline
function data(op: u32, vpn: u64, straddle: u32): void {
  if (vpn == dataPage && (dataWrites || op == OP_READ) && dataCount < MAX_RUN && straddle == 0) {
    dataCount++;
    return;
  }
  start(op | straddle, vpn);
  fetchCount = 0;
  dataCount = 1;
  dataPage = straddle == 0 && merges ? vpn : NO_PAGE;
  dataWrites = op == OP_WRITE;
}

function start(op: u32, vpn: u64): void {
  emit();
  if (room == 0) lackeyRestart(CHUNK_RECORDS - 1);
  room--;
  pending = true;
  head = op;
  page = vpn;
}

function emit(): void {
  if (!pending) return;
  store<f64>(pages + (<usize>records << 3), <f64>page);
  store<u8>(heads + records, <u8>head);
  store<u16>(fetches + (<usize>records << 1), <u16>fetchCount);
  store<u16>(datas + (<usize>records << 1), <u16>dataCount);
  records++;
}
