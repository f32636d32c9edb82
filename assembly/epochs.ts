// Epochs as small as they can be. Of what agents know of each other's epochs it matters only whether they have heard of a
// page's first use, and of the epoch that its agent is in, since the next first use will be in that one. So the epochs of an
// agent are numbered anew: 2 x the first uses up to then, and 1 more for the epoch in hand. States that differ in how many
// epochs have gone by, and in nothing that matters, are equal.
import { agent, agentCount, DONE, heardRow, heardRows, knowledgeOf, settleEpochs } from './clock';
import { fixed, setting } from './layout';
import { SET_WHOLE } from './ops';
import { epochOfUser, setEpochOfUser, userOf } from './safety';
import { pageCount } from './table';

let uses: usize = 0; // u32[pages]: epochs of the first uses of one agent, ascending
let useCount: u32 = 0;

export function initEpochs(pages: u32): void {
  uses = fixed(<usize>pages << 2);
}

/** Numbers the epochs of all agents anew, if there is anything to number. */
export function shrinkEpochs(): void {
  if (!settleEpochs() || setting(SET_WHOLE) != 0) return;
  for (let id: u32 = 0; id < agentCount; id++) shrink(id);
}

function shrink(id: u32): void {
  gatherUses(id);
  const column = <usize>id << 2;
  const own = load<u32>(knowledgeOf(id) + column);
  const over = agent(id).state == DONE;
  // Nobody asks what an agent knows that is done, and its epoch in hand is its last.
  if (over) memory.fill(knowledgeOf(id), 0, <usize>agentCount << 2);
  const last = over ? u32.MAX_VALUE : own;
  for (let i: u32 = 0; i < agentCount; i++) renumber(knowledgeOf(i) + column, last);
  for (let i: u32 = 0; i < heardRows(); i++) renumber(heardRow(i) + column, last);
  for (let page: u32 = 0; page < pageCount; page++) {
    if (userOf(page) == id + 1) setEpochOfUser(page, upTo(epochOfUser(page)) << 1);
  }
  if (over) store<u32>(knowledgeOf(id) + column, upTo(own) << 1);
}

function gatherUses(id: u32): void {
  useCount = 0;
  for (let page: u32 = 0; page < pageCount; page++) {
    if (userOf(page) == id + 1) insertUse(epochOfUser(page));
  }
}
function insertUse(epoch: u32): void {
  let at = useCount;
  for (; at > 0 && load<u32>(uses + (<usize>(at - 1) << 2)) >= epoch; at--) {
    if (load<u32>(uses + (<usize>(at - 1) << 2)) == epoch) return;
  }
  for (let i = useCount; i > at; i--) store<u32>(uses + (<usize>i << 2), load<u32>(uses + (<usize>(i - 1) << 2)));
  store<u32>(uses + (<usize>at << 2), epoch);
  useCount++;
}
/** First uses in epochs up to this one. */
function upTo(epoch: u32): u32 {
  let count: u32 = 0;
  while (count < useCount && load<u32>(uses + (<usize>count << 2)) <= epoch) count++;
  return count;
}
function renumber(at: usize, last: u32): void {
  const epoch = load<u32>(at);
  store<u32>(at, (upTo(epoch) << 1) + (epoch == last ? 1 : 0));
}
