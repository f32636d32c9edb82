import { NESTED_LEAVES, NESTED_LEVELS, nestedReferences } from '../../engine/nested.ts';
import {
  type Answer,
  type Ask,
  type Entry,
  FORMATS,
  type Format,
  type FormatOptions,
  type IommuCapabilities,
  NO_CACHES,
  Translation,
  type TranslationCaches,
} from '../../engine/translation.ts';
import { hex } from '../../model/descriptor.ts';
import { UsageError } from '../../model/errors.ts';
import { quote } from '../../model/near.ts';
import type { Section, Sides } from './section.ts';
import { Value } from './value.ts';

/** What the engine says: numbers, words, lists, groups. */
type Said = bigint | number | boolean | string | readonly Said[] | { readonly [key: string]: Said };
type Group = Readonly<Record<string, Said>>;

/** Entries of page tables at a level, and walks through a memory image. */
export const translationSections: readonly Section[] = [
  { name: 'pte', start: (module) => (vector, both) => compare(vector, entryOf(module, vector), both) },
  { name: 'walks', start: (module) => (vector, both) => compare(vector, walkOf(module, vector), both) },
];

/** Each key of what a vector expects; writes of A and D also where it expects none. */
function compare(vector: Value, said: Group, both: Sides): void {
  const expected = vector.need('expect');
  for (const [key, value] of expected.entries()) {
    const got = said[key];
    if (key !== 'perm') both.add(key, textOf(value), got === undefined ? undefined : saidText(got));
    else
      for (const [name, flag] of value.entries()) {
        const grant = (got as Group | undefined)?.[name];
        both.add(`perm.${name}`, textOf(flag), grant === undefined ? undefined : saidText(grant));
      }
  }
  if (expected.get('writes') === undefined && said.writes !== undefined) both.add('writes', '-', saidText(said.writes));
}

/** Text of what a vector expects. */
function textOf(value: Value): string {
  const { raw } = value;
  if (Array.isArray(raw)) return value.items().map(textOf).join(',');
  if (typeof raw === 'object' && raw !== null) {
    const address = (key: string): string => hex(new Value(key, value.place).number());
    return value
      .entries()
      .map(([key, item]) => `${address(key)}:${textOf(item)}`)
      .sort()
      .join(',');
  }
  return typeof raw === 'number' || (typeof raw === 'string' && /^0x|^\d+$/i.test(raw))
    ? hex(value.number())
    : value.word();
}
/** The same of what the engine says. */
function saidText(said: Said): string {
  if (typeof said === 'string') return said;
  if (typeof said !== 'object') return hex(BigInt(said));
  if (Array.isArray(said)) return said.map(saidText).join(',');
  return Object.entries(said)
    .map(([key, item]) => `${key}:${saidText(item)}`)
    .sort()
    .join(',');
}

/** One of some words. */
function oneOf<Word extends string>(value: Value, words: readonly Word[]): Word {
  const word = value.word();
  if ((words as readonly string[]).includes(word)) return word as Word;
  throw new UsageError(`${value.place}: read ${quote(word)}, expected ${words.join(' ')}`);
}
/** A number of some, by the same rules as elsewhere. */
function between(value: Value, least: number, most: number): number {
  const number = Number(value.number(BigInt(most)));
  if (number >= least) return number;
  throw new UsageError(`${value.place}: read ${number}, expected a number from ${least} to ${most}`);
}

// ---- entries ----

function entryOf(module: WebAssembly.Module, vector: Value): Group {
  const format = oneOf(vector.need('format'), FORMATS);
  const level = between(vector.need('level'), 1, 6);
  const context = vector.get('ctx');
  const given = (key: string, otherwise: number, most = 1): number => {
    const value = context?.get(key);
    return value === undefined ? otherwise : between(value, 0, most);
  };
  const sizes = given('sps', 3, 15);
  const options: FormatOptions = {
    width: given('maxpa', given('haw', 52, 52), 52),
    nxe: given('nxe', 1) !== 0,
    has2M: (sizes & 1) !== 0,
    has1G: (sizes & 2) !== 0 && given('fl1gp', 1) !== 0,
    snoop: given('sc', 0) !== 0,
    deviceTlb: given('dt', 1) !== 0,
  };
  const decoded = new Translation(module).decode(format, level, vector.need('entry').number(), options);
  const { kind, address, size, nextLevel } = decoded;
  if (kind === 'leaf') return { kind, pa: address, size, ...bitsOf(format, decoded) };
  if (kind !== 'table') return { kind };
  const skipped = Array.from({ length: level - 1 - nextLevel }, (_, i) => level - 1 - i);
  const amd = format === 'amd_v1' ? { next_level: nextLevel, ...(skipped.length > 0 && { skipped }) } : {};
  return { kind, next: address, ...amd, ...bitsOf(format, decoded) };
}

function bitsOf(format: Format, { grants, marks }: Entry): Group {
  const { r, w, x, u } = grants;
  const { a, d, g, pat, ea, snp, tm, fc } = marks;
  return {
    x86: { w, u, x, a, d, g, pat },
    amd_v2: { w, u, x, a, d, g, pat },
    vtd_fs: { w, u, x, a, d, g, pat, ea },
    vtd_ss: { r, w, x: marks.x, a, d, snp, tm },
    amd_v1: { r, w, a, d, fc, u: marks.used },
  }[format];
}

// ---- walks ----

const KINDS = ['x86', 'counts', 'vtd_legacy', 'vtd_scalable', 'vtd_nested', 'amd_v1', 'amd_v2'] as const;

function walkOf(module: WebAssembly.Module, vector: Value): Group {
  const kind = oneOf(vector.need('kind'), KINDS);
  if (kind !== 'counts') return answerOf(kind, vector.need('request'), loadWalk(module, vector)());
  const setup = vector.need('setup');
  const levels = (key: string): number =>
    between(setup.need(key), ...NESTED_LEVELS[key === 'guest_levels' ? 'guest' : 'host']);
  const leaf = (key: string): number => between(setup.need(key), ...NESTED_LEAVES);
  const shape = {
    guestLevels: levels('guest_levels'),
    hostLevels: levels('host_levels'),
    guestLeaf: leaf('guest_leaf'),
    hostLeaf: leaf('host_leaf'),
  };
  return { refs: nestedReferences(module, shape) };
}

/** The hardware of a `walks` vector, its memory loaded: each call is the vector's request once more. */
export function loadWalk(
  module: WebAssembly.Module,
  vector: Value,
  caches: TranslationCaches = NO_CACHES,
): () => Answer {
  const kind = oneOf(vector.need('kind'), KINDS);
  const [setup, request] = [vector.need('setup'), vector.need('request')];
  const translation = new Translation(module, caches);
  for (const [address, word] of vector.need('memory').entries()) {
    translation.write(new Value(address, word.place).number(), word.number());
  }
  const ask: Ask = {
    address: addressOf(request),
    access: oneOf(request.need('access'), kind === 'x86' ? ['r', 'w', 'x'] : ['r', 'w']),
    user: request.get('user')?.flag() ?? true,
  };
  const pasid = request.get('pasid')?.number(0xfffffn);
  if (kind === 'x86') {
    const options = {
      levels: between(setup.need('levels'), 4, 5),
      width: between(setup.need('maxpa'), 32, 52),
      nxe: setup.get('nxe')?.flag() ?? true,
    };
    const root = setup.need('cr3').number();
    return () => translation.cpu(root, ask, options);
  }
  translation.capabilities(capabilitiesOf(setup));
  const amd = kind.startsWith('amd');
  const root = setup.need(amd ? 'devtab' : 'rtaddr').number();
  const source = Number(setup.need(amd ? 'devid' : 'sid').number(0xffffn));
  const from = pasid === undefined ? undefined : Number(pasid);
  return () => (amd ? translation.amd(root, ask, source, from) : translation.vtd(root, ask, source, from));
}

const addressOf = (request: Value): bigint => (request.get('va') ?? request.need('iova')).number();

function capabilitiesOf(setup: Value): IommuCapabilities {
  const given = new Map(
    setup
      .get('caps')
      ?.entries()
      .map(([key, value]) => [key.toLowerCase(), value]) ?? [],
  );
  const flag = (key: string, otherwise: boolean): boolean => given.get(key)?.flag() ?? otherwise;
  const sizes = Number(given.get('sps')?.number(15n) ?? 3n);
  const width = setup.get('haw') ?? setup.get('maxpa');
  return {
    width: width === undefined ? 52 : between(width, 32, 52),
    levels: [...(given.get('sagaw')?.word() ?? '3,4,5').matchAll(/[345]/g)].map(Number),
    second2M: (sizes & 1) !== 0,
    second1G: (sizes & 2) !== 0,
    snoop: flag('sc', false),
    deviceTlb: flag('dt', true),
    first1G: flag('fl1gp', true),
    fiveLevels: flag('fl5lp', true),
    secondMarks: flag('slads', true),
    passThrough: flag('pt', true),
  };
}

/** AMD reports one event for every page fault; the file tells why in words. */
const AMD_REASONS: Readonly<Record<string, string>> = { beyond_tables: 'va_beyond_mode' };

function answerOf(kind: (typeof KINDS)[number], request: Value, answer: Answer): Group {
  const { status, fault, reads } = answer;
  const x86 = kind === 'x86';
  const amd = kind.startsWith('amd');
  if (x86 && status === 'beyond_tables') return { status: 'non_canonical', reads };
  if (status !== 'ok') {
    const reason = amd ? (AMD_REASONS[status] ?? status) : fault;
    const page = addressOf(request) & ~0xfffn;
    return { status: 'fault', ...(x86 ? { error_code: fault } : { reason, fault_addr: page }), reads };
  }
  const { r, w, x, u } = answer.grants;
  const writes = Object.fromEntries(answer.writes.map(({ address, value }) => [hex(address), value]));
  const domain = x86 ? {} : { [amd ? 'domid' : 'did']: answer.domain };
  const written = answer.writes.length > 0 && { writes };
  return { status, pa: answer.address, size: answer.size, ...domain, perm: { r, w, x, u }, reads, ...written };
}
