import { expect, test } from 'vitest';
import type { PathName } from './path.ts';
import {
  checkPath,
  flatSteps,
  halvesOf,
  heldSteps,
  type PolicySpec,
  parseSteps,
  policyOf,
  stepText,
} from './policy.ts';

/** The list as words with braces, or the error. */
function show(text: string, path?: PathName): string {
  try {
    const list = parseSteps(text, 'x.yaml: p');
    if (path !== undefined) checkPath(list, path, 'x.yaml: p');
    const word = (item: { word: string; pte?: string | null }): string => (item.pte ? `PS(${item.pte})` : item.word);
    return list.items
      .map((item) => (item.kind === 'repeat' ? `[${item.body.map(word).join(' ')}]` : word(item)))
      .join(' ');
  } catch (error) {
    return String(error).replace('UsageError: x.yaml: p: ', '');
  }
}

// name                       list                                        words, or the start of the error
const CASES: [string, string, string][] = [
  ['a hold', 'LK PC CF UL', 'LK PC CF UL'],
  ['braces', 'RS { LK PC RR UL } RE! CF SI FREE', 'RS [LK PC RR UL] RE! CF SI FREE'],
  ['tight braces', 'RS {LK PC RR UL}RE', 'RS [LK PC RR UL] RE'],
  ['any white space', ' LK\n PC\t UL ', 'LK PC UL'],
  ['notes', 'LK PC UL NEW? IO COPY MERGE RET', 'LK PC UL NEW? IO COPY MERGE RET'],
  ['SI before the clear', 'SI LK PC UL', 'SI LK PC UL'],
  ['SI under the lock', 'LK SI SI* CP PC UL', 'LK SI SI* CP PC UL'],
  ['FREE before SI', 'LK PC RR UL PPc FREE SI', 'LK PC RR UL PPc FREE SI'],
  ['no bracket', 'LK PC CF PS(swp) RR PP UL SI PPc FREE', 'LK PC CF PS(swp) RR PP UL SI PPc FREE'],
  ['empty', '  ', 'the list is empty, expected steps such as LK PC CF UL'],
  ['unknown word', 'LK PX UL', 'step 2 "PX": is not a step; near: '],
  ['lower case', 'lk PC', 'step 1 "lk": is not a step; near: LK; steps are '],
  ['invalidate_page', 'LK PC UL IP', 'LK PC UL IP'],
  [
    'prototype',
    'constructor',
    'step 1 "constructor": is not a step; steps are RS RE RE! LK UL PC CF CFq CFp CFr SI SI* SIp SI? IP ',
  ],
  [
    'PS of what',
    'LK PC PS UL',
    'step 3 "PS": expected what the PTE becomes, one of swp, none, new, ro, clean, old, moved, mig, hwp',
  ],
  ['PS of nothing', 'LK PS() UL', 'step 2 "PS()": expected what the PTE becomes'],
  ['PS of rw', 'LK PS(rw) UL', 'step 2 "PS(rw)": expected what the PTE becomes'],
  [
    'PC without lock',
    'RS PC RE',
    'step 2 "PC": a PTE is cleared outside the page-table lock, expected LK before and UL after it',
  ],
  ['PS after unlock', 'LK PC UL PS(swp)', 'step 4 "PS(swp)": a PTE is set outside the page-table lock, expected LK'],
  ['locked twice', 'LK PC LK', 'step 3 "LK": the lock is held since step 1, expected UL first'],
  ['unlocked twice', 'LK UL UL', 'step 3 "UL": the lock is not held, expected LK first'],
  ['lock left held', 'RS LK PC RE', 'the list ends with the lock of step 2 held, expected UL'],
  ['bracket left open', 'RS LK PC UL', 'the list ends with range_start of step 1 open, expected RE or RE!'],
  ['bracket twice', 'RS RS', 'step 2 "RS": range_start of step 1 is still open, expected RE or RE! first'],
  ['end without start', 'LK PC UL RE!', 'step 4 "RE!": there is no open range_start, expected RS first'],
  [
    'free, still mapped',
    'LK PC UL FREE',
    'step 4 "FREE": the mapping is still there, expected the references put first',
  ],
  ['free, then put', 'LK PC RR UL FREE PPc', 'step 6 "PPc": FREE of step 5 comes before this reference is put'],
  ['brace not closed', 'RS { LK PC UL', '{ is not closed, expected } before the end'],
  ['brace not opened', 'LK UL }', 'after step 2 "}": closes no {'],
  ['braces in braces', '{ { LK UL } }', 'after step 0 "{": braces do not nest, expected } first'],
  ['empty braces', 'RS { } RE', 'after step 1 "}": the braces are empty, expected steps to repeat'],
  [
    'hold around a brace',
    'LK { PC } UL',
    'after step 1 "{": the lock is held since step 1; braces repeat whole lock holds',
  ],
  [
    'hold out of a brace',
    '{ LK PC } UL',
    'after step 2 "}": the lock is held since step 1; braces repeat whole lock holds',
  ],
  [
    'bracket across',
    'RS { LK UL RE }',
    'after step 4 "}": RS and RE have to be both inside or both outside the braces',
  ],
  ['a full gather', 'RS { LK PC RR [CF SI] UL [FREE] } RE! CF SI FREE', 'RS [LK PC RR CF SI UL FREE] RE! CF SI FREE'],
  ['brackets outside', 'LK PC [ CF ] UL', 'after step 2 "[": brackets are of lock holds, expected them inside { }'],
  ['brackets in brackets', '{ LK PC [ CF [ SI ] ] UL }', 'after step 3 "[": brackets do not nest, expected ] first'],
  ['bracket not opened', '{ LK PC ] UL }', 'after step 2 "]": closes no ['],
  ['bracket not closed', '{ LK PC UL [ CF }', 'after step 4 "}": [ is not closed, expected ] first'],
  ['empty brackets', '{ LK PC [ ] UL }', 'after step 2 "]": the brackets are empty, expected steps of a full gather'],
  ['no step of a full gather', '{ LK PC [ RR ] UL }', 'step 3 "RR": expected CF, SI, SI* or FREE in [ ]'],
  ['too many steps', 'SI '.repeat(65), 'more than 64 steps'],
  ['too long', 'x'.repeat(1001), '1001 characters, expected at most 1000'],
];

for (const [name, text, expected] of CASES) {
  test(`steps: ${name}`, () => expect(show(text).slice(0, expected.length)).toBe(expected));
}

const PATH_CASES: [string, PathName, string, string][] = [
  ['cow needs a new page', 'cow', 'LK PC RR UL PPc FREE', 'has no PS(new), expected one: write fault'],
  ['swap needs a swap entry', 'reclaim_swap', '{ LK PC PS(none) RR UL } { PPc FREE }', 'has no PS(swp), expected one'],
  ['munmap frees', 'munmap', 'RS { LK PC RR UL } RE', 'has no FREE, expected one'],
  [
    'brackets without a gather',
    'mprotect',
    '{ RS LK PC PS(ro) [ CF ] UL RE }',
    'has [ ], expected none: the path does not',
  ],
  ['one page, no braces', 'cow', '{ LK PC PS(new) RR UL PPc FREE }', 'has { }, expected none: the path is of one page'],
  [
    'a range locks per table',
    'munmap',
    'RS LK PC RR UL RE FREE',
    'step 2 "LK": the path makes one lock hold per leaf page table',
  ],
  [
    'a batch locks per page',
    'reclaim_file',
    'LK PC RR UL PPc FREE',
    'step 1 "LK": the path makes one lock hold per page',
  ],
  [
    'invalidate_page of a range',
    'munmap',
    'RS { LK PC RR UL IP } RE FREE',
    'step 6 "IP": is of one page, and the path',
  ],
  [
    'change_pte of a batch',
    'reclaim_file',
    '{ LK PC RR UL } CP { PPc FREE }',
    'step 5 "CP": is of one page, expected it',
  ],
];

for (const [name, path, text, expected] of PATH_CASES) {
  test(`path: ${name}`, () => expect(show(text, path)).toContain(expected));
}

test('flatSteps: what is in braces once, notes left out, numbers kept', () => {
  const list = parseSteps('RS { LK PC UL NEW? } RE IO', 'x');
  expect(flatSteps(list).map(({ word, at }) => `${word}${at}`)).toEqual(['RS1', 'LK2', 'PC3', 'UL4', 'RE6']);
  expect(list.text).toBe('RS { LK PC UL NEW? } RE IO');
});

test('heldSteps: what stands between LK and UL', () => {
  const list = parseSteps('{ RS LK PC PS(swp) SI UL RE! } CF { LK PC UL PPc }', 'x');
  expect(heldSteps(list).map(stepText)).toEqual(['PC', 'PS(swp)', 'SI', 'PC']);
});

const about = { name: 'x', title: 't', source: 's' };
const POLICY_CASES: [string, PolicySpec, string][] = [
  ['no half', about, 'x.yaml: has neither mm nor dma, expected at least one'],
  [
    'unknown path',
    { ...about, mm: { paths: { mumap: 'SI' } } },
    'x.yaml: mm.paths.mumap: no such path; near: munmap, ',
  ],
  ['missing path', { ...about, mm: { paths: {} } }, 'x.yaml: mm.paths.reclaim_swap is missing, expected a step list'],
  [
    'bad list',
    { ...about, mm: { paths: { reclaim_swap: 'LK' } } },
    'x.yaml: mm.paths.reclaim_swap: the list ends with the lock',
  ],
  ['lazy without a queue', { ...about, dma: { unmap: 'lazy', timeout_ms: 10 } }, 'x.yaml: dma.queue_size is missing'],
  ['lazy without a timer', { ...about, dma: { unmap: 'lazy', queue_size: 256 } }, 'x.yaml: dma.timeout_ms is missing'],
  [
    'strict with a queue',
    { ...about, dma: { unmap: 'strict', queue_size: 256 } },
    'x.yaml: dma.queue_size goes with unmap: lazy, read unmap: strict',
  ],
];

for (const [name, spec, expected] of POLICY_CASES) {
  test(`policy: ${name}`, () => expect(() => policyOf(spec, halvesOf(spec, {}, 'x.yaml'), 'x.yaml')).toThrow(expected));
}
