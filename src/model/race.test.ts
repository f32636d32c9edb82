import { describe, expect, test } from 'vitest';
import { parseRace } from './race.ts';

const RACE = `race r
source somewhere
about something
page v anonymous
page w file far
start cpu0 write v
agents cpu0 | kswapd | dev0
 write v | reclaim v | read v
never S1 S2
`;
const show = (text: string): string => {
  try {
    const { agents, pages, start, never, active } = parseRace(text, 'r');
    const columns = agents.map(({ name, actions }) => `${name}: ${actions.map((action) => action.text).join(', ')}`);
    return [...columns, pages.map(({ name }) => name).join(), start.length, never.join('+'), active].join(' | ');
  } catch (error) {
    return String(error);
  }
};
const edit = (from: string, to: string): string => {
  expect(RACE).toContain(from);
  return show(RACE.replace(from, to));
};

test('a race, read', () => {
  expect(show(RACE)).toBe('cpu0: write v | kswapd: reclaim v | dev0: read v | v,w | 1 | S1+S2 | true');
});

test('pages follow one another, far ones in a table of their own', () => {
  const { pages } = parseRace(RACE, 'r');
  expect(Math.floor(pages[0]!.vpn / 512)).not.toBe(Math.floor(pages[1]!.vpn / 512));
});

test('a device that activates first is idle when the race begins', () => {
  expect(edit('| read v\n', '| activate\n   |   | read v\n')).toContain(
    'dev0: activate, read v | v,w | 1 | S1+S2 | false',
  );
});

test('walks are one action, or split', () => {
  const split = RACE.replace('page v', 'walk split\npage v');
  expect([RACE, split].map((text) => parseRace(text, 'r').splitWalks)).toEqual([false, true]);
});

test('comments, and lines of Windows', () => {
  expect(show(RACE.replaceAll('\n', '\r\n').replace('about', '# a comment\r\nabout'))).toContain('cpu0: write v');
});

// what is changed    to                        where the message says what
describe('errors name line and column', () => {
  test.each([
    ['race r', 'rase r', 'r:1:1: "rase" is not a key; near: race'],
    ['source somewhere\n', '', 'r:1:1: source is missing'],
    ['page v', 'walk whole\npage v', 'r:4:6: "whole" behind walk, expected split'],
    ['page v', 'walk: split\npage v', 'r:4:1: "walk:" is not a key; near: walk'],
    ['page v', 'walk split\nwalk split\npage v', 'r:5:6: a second walk, expected one'],
    ['page v anonymous', 'page v anonimous', 'r:4:6: page v is "anonimous", expected anonymous, file, shared'],
    ['page v anonymous', 'page V anonymous', 'r:4:6: "V" is not a page\'s name'],
    ['page w file far', 'page v file', 'r:5:6: page v is there already'],
    ['page w file far', 'page w file near', 'r:5:6: "near" behind the kind, expected far, at PAGE or nothing'],
    ['page w file far', 'page w file at', 'r:5:6: "at" behind the kind, expected far, at PAGE or nothing'],
    ['page w file far', 'page w file at u', 'r:5:6: "u" is not a page of this race; they are v'],
    ['page w file far', 'page w file at v\npage x file at w', 'r:6:6: page w is of the second process itself'],
    ['page w file far', 'page w file at v\npage x file at v', 'r:6:6: a second page at v, expected one'],
    ['cpu0 write v\n', 'cpu1 write v\n', 'r:6:7: "cpu1" is not an agent of this race; near: cpu0'],
    ['cpu0 write v\n', 'write\n', 'r:6:7: "write", expected an agent and an action'],
    ['cpu0 | kswapd', 'cpu1 | kswapd', 'r:7:8: cpu1 is out of order, expected cpu0'],
    ['| kswapd |', '| kswapd0 |', 'r:7:15: "kswapd0" is not an agent'],
    ['| dev0', '| kswapd', 'a second column kswapd'],
    ['reclaim v', 'reklaim v', 'r:8:12: "reklaim" is not an action; near: reclaim'],
    ['reclaim v', 'munmap v', 'r:8:12: munmap is no action of a kswapd'],
    ['reclaim v', 'reclaim x', 'r:8:12: "x" is not a page of this race; they are v w'],
    ['reclaim v', 'reclaim v w', 'r:8:12: page w does not follow the one before it'],
    ['reclaim v', 'reclaim', 'r:8:12: "reclaim", expected pages behind it'],
    ['| read v\n', '| read v w\n', 'r:8:24: "read v w", expected read PAGE'],
    [' write v |', ' mprotect v |', 'r:8:2: "mprotect v", expected mprotect PAGE .. ro or rw'],
    [' write v |', ' mremap v w |', 'r:8:2: "mremap v w", expected mremap PAGE to PAGE'],
    ['| read v\n', '| read v | read v\n', 'a column too many, expected 3'],
    ['| read v\n', '| deactivate\n  |  | deactivate\n', 'dev0: deactivate twice in a row'],
    ['never S1 S2', 'never S9', 'r:9:7: "S9" is not a property, expected S1'],
    ['never S1 S2\n', '', 'r:1:1: never is missing'],
    ['about something', 'about', 'r:3:6: nothing behind about'],
    ['race r\n', 'race r\nrace q\n', 'r:2:6: a second race, expected one'],
    ['race r\n', ' race r\n', 'r:1:2: expected a key such as race at the start of the line'],
  ])('%j for %j', (from, to, message) => {
    expect(edit(from, to)).toContain(message);
  });

  test('a text too long is refused before it is read', () => {
    expect(show('#'.repeat(20_000))).toContain('20000 characters, expected at most');
  });
});
