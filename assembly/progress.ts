// Whether a run gets on. Agents can keep each other busy for ever: a driver that submits anew what a device loses each time, as
// Linux does (drivers/iommu/dmar.c qi_submit_sync: restart). A run that does so is ended.
import { setting } from './layout';
import { SET_PAGES, SET_STEPWISE } from './ops';

/** Turns that a record may take, and as many again for each page there is: many times what any has been seen to need. */
const TURNS: u64 = 1 << 22;
const TURNS_PER_PAGE: u64 = 1 << 10;

// Why a run stops before its end; behind STARVED come the actors whose next rows the host has to give.
export const STOP_NO_IOVA: u32 = 2;
export const STOP_ENDLESS: u32 = 3;
export const STOP_STARVED: u32 = 4;

/** STOP_*, or 0. */
export let stopped: u32 = 0;
let turns: u64 = 0;
let most: u64 = 0;

/** An agent has come to the next of its records. */
@inline
export function gotOn(): void {
  turns = 0;
}
/** The run stops after this turn. */
export function stopRun(reason: u32): void {
  stopped = reason;
}
/** It has stopped for rows, and goes on with them. */
export function resumeRun(): void {
  stopped = 0;
}
export function initProgress(): void {
  resumeRun();
  gotOn();
  most = TURNS + TURNS_PER_PAGE * setting(SET_PAGES);
}
/** One more turn; whether there have been too many since anybody got on. */
@inline
export function goesRound(): bool {
  return ++turns > most;
}

/**
 * Whether every turn is taken by itself, as in a race, where each is a step. Else a turn is taken with the one before it where that
 * makes no difference: it comes at the same time and nobody else can be first, or nobody else can see it.
 */
@inline
export function isStepwise(): bool {
  return setting(SET_STEPWISE) != 0;
}
