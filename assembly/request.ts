// What the access in each place in flight asks the IOMMU for, and where its walk is.
import { swap } from './bank';
import { clear, region } from './layout';
import { flightCount } from './places';
import { aim, iommuStage } from './space';
import { vpnOf } from './table';
import { ASKS_AS_USER, ASKS_NOTHING, ASKS_READ, ASKS_WRITE, Found, newTrail, walk, walkAgain } from './walk';

@unmanaged
export class Request {
  page: u32; //   the leaf that is asked for
  how: u32; //    write | prefetch << 1
  issued: u64; // ps
  table: u32; //  of its walk, as of Found
  level: u32;
  path: u32;
  offset: u32; // which 4 KiB page of the leaf

  @inline get writes(): bool {
    return (this.how & 1) != 0;
  }
  /** Only a translation is asked for, in advance. */
  @inline get prefetches(): bool {
    return this.how >> 1 != 0;
  }
}
const REQUEST_BYTES: usize = offsetof<Request>();

/** What the last walk has found. */
export const found: Found = changetype<Found>(memory.data(offsetof<Found>()));

let requests: usize = 0; // Request[flightCount]

export function initRequests(): void {
  requests = region(<usize>flightCount * REQUEST_BYTES);
}
export function swapRequests(): void {
  requests = swap(requests);
}
@inline
export function request(place: u32): Request {
  return changetype<Request>(requests + <usize>place * REQUEST_BYTES);
}
/** It is over. */
@inline
export function clearRequest(place: u32): void {
  clear(changetype<usize>(request(place)), offsetof<Request>('table'));
}

/** Page number of the 4 KiB page that is asked for, of a page that is, or is walked for it. */
@inline
export function leafOf(place: u32, page: u32): u64 {
  return vpnOf(page) + request(place).offset;
}
/** The address that a place asks for; the IOMMU's stage translates its space. */
@inline
function addressOf(place: u32, page: u32): u64 {
  return aim(iommuStage, page) + (<u64>request(place).offset << 12);
}
/** A walk comes to its last entry; that will be read when the time of the walk is over. */
export function beginWalk(place: u32, page: u32): void {
  newTrail();
  walk(iommuStage, addressOf(place, page), ASKS_NOTHING, found);
  const held = request(place);
  held.table = found.table;
  held.level = found.level;
  held.path = found.path;
}
/** What counts is what the last entry says then. Returns the status, WALK_*. */
export function endWalk(place: u32, page: u32, write: bool): u32 {
  const held = request(place);
  found.table = held.table;
  found.level = held.level;
  found.path = held.path;
  held.table = held.level = held.path = 0;
  newTrail();
  return walkAgain(iommuStage, addressOf(place, page), ASKS_AS_USER | (write ? ASKS_WRITE : ASKS_READ), found);
}
