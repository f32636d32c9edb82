// Places in flight: the translations that devices have been given and have not used yet. Each place is an agent, see flight.ts.
import { swap } from './bank';
import { clear, region } from './layout';

/** Caches that a translation must not get into: the IOTLB, the device TLB. */
export const SQUASHED_WALK: u32 = 1;
export const SQUASHED_FILL: u32 = 2;
export const IN_HAND: u32 = 1;
export const ON_ITS_WAY: u32 = 2;
export const AT_DEVICE: u32 = 3;

/** A translation in the device's hands. */
@unmanaged
export class Flight {
  page: u32; //    page id + 1 that is asked for; 0 = none
  holds: u32; //   IN_HAND: a fault has read it; ON_ITS_WAY: the IOMMU has answered; AT_DEVICE: the device uses it
  owner: u32; //   page id + 1 that the translation is one of
  frame: u32; //   frame, and FREED
  stale: u32;
  written: u32; // it grants writing
  squashed: u32; // an invalidation has passed: caches that it must not get into, SQUASHED_*
}
const FLIGHT_BYTES: usize = offsetof<Flight>();

let flights: usize = 0; // Flight[flightCount], so many of each device
let inUse: usize = 0; //   u64: places that are taken, a bit each, so that a change of a PTE looks at those alone
export let flightCount: u32 = 0;

export function initFlightPlaces(count: u32): void {
  flightCount = count;
  flights = region(<usize>count * FLIGHT_BYTES);
  inUse = region(8);
}
export function swapPlaces(): void {
  flights = swap(flights);
  inUse = swap(inUse);
  flightCount = swap(flightCount);
}
@inline
export function flight(index: u32): Flight {
  return changetype<Flight>(flights + <usize>index * FLIGHT_BYTES);
}

/** Places that are taken, a bit each: `for (let left = flightsInUse(); left != 0; left &= left - 1)`, and `ctz(left)` is one. */
@inline
export function flightsInUse(): u64 {
  return load<u64>(inUse);
}
/** Accesses in flight, of `count` places from `from` on. */
@inline
export function takenOf(from: u32, count: u32): u32 {
  return <u32>popcnt((flightsInUse() >> from) << (64 - count));
}
/** The first free one of `count` places from `from` on, or -1. */
@inline
export function freePlace(from: u32, count: u32): i32 {
  const place = <u32>ctz(~flightsInUse() >> from);
  return place < count ? <i32>(from + place) : -1;
}
/** A place is taken for an access. */
@inline
export function takePlace(index: u32): void {
  store<u64>(inUse, flightsInUse() | (<u64>1 << index));
}
/** The access is over. */
@inline
export function leavePlace(index: u32): void {
  clear(changetype<usize>(flight(index)), FLIGHT_BYTES);
  store<u64>(inUse, flightsInUse() & ~(<u64>1 << index));
}
