import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { engineModule } from '../../../testing/wasm.ts';
import { DescriptorCodec } from '../../engine/descriptor.ts';
import type { Arch, Caps } from '../../model/descriptor.ts';
import { UsageError } from '../../model/errors.ts';
import { verifyVectors } from './vectors.ts';

const text = readFileSync(new URL('../../../traces/outside/iommu-vectors.json', import.meta.url), 'utf8');
const module = engineModule('release');

interface Vector {
  readonly id: string;
  readonly words: readonly string[];
  readonly caps?: Readonly<Record<string, number>>;
  readonly expect: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}
const file = JSON.parse(text) as Readonly<Record<string, readonly Vector[]>>;
const SECTIONS = ['vtd', 'amd', 'smmuv3', 'riscv', 'structures', 'struct_fields', 'pte', 'walks', 'ranges'];

/** Checks of a file that holds these sections. */
const verify = (sections: Readonly<Record<string, unknown>>) => verifyVectors(JSON.stringify(sections), 't', module);

describe('every vector holds', () => {
  test.each(SECTIONS)('%s', (section) => {
    const { checks, failed } = verify({ [section]: file[section] });
    expect(checks.filter(({ holds }) => !holds)).toEqual([]);
    expect(failed).toBe(0);
    expect(checks.map(({ name }) => name)).toEqual(
      Array.isArray(file[section]) ? file[section].map(({ id }) => id) : Object.keys(file[section]!),
    );
  });
});

describe('a vector that says something else fails', () => {
  /** Other values than the file's, at every place that is compared. */
  function* changed(value: unknown): Generator<unknown> {
    if (typeof value === 'number') yield value ^ 1;
    else if (typeof value === 'boolean') yield !value;
    else if (value === 'all') yield '4096';
    else if (typeof value === 'string' && /^(0x[0-9a-f]+|\d+)$/.test(value))
      yield String(BigInt.asUintN(64, BigInt(value) ^ 1n));
    else if (typeof value === 'string') yield `${value}1`;
    else if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) for (const other of changed(item)) yield value.with(i, other);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        if (key === 'iqei_hint' || key === 'why') continue;
        for (const other of changed(item)) yield { ...value, [key]: other };
      }
    }
  }

  /** Changed expectations, each a vector of its own. */
  function othersOf(section: string, { id, note, ...vector }: Vector): object[] {
    const { first_pfn, last_pfn } = vector;
    const others =
      section === 'ranges'
        ? [...changed({ ...vector, first_pfn: [], last_pfn: [] })].map((other) => ({
            ...(other as object),
            first_pfn,
            last_pfn,
          }))
        : [...changed(vector.expect)].map((other) => ({ ...vector, expect: other }));
    return others.map((other, i) => ({ ...other, id: `${id} ${i}` }));
  }

  test.each(['vtd', 'amd', 'smmuv3', 'riscv', 'structures', 'pte', 'walks', 'ranges'])('%s', (section) => {
    const others = file[section]!.flatMap((vector) => othersOf(section, vector));
    const { checks } = verify({ [section]: others });
    expect(others.length).toBeGreaterThan(2 * file[section]!.length);
    expect(checks.filter(({ holds }) => holds)).toEqual([]);
    expect(checks).toHaveLength(others.length);
  });

  test('a section that is not known is a failed check, and an expectation that is not', () => {
    expect(verify({ walls: [] }).checks).toMatchObject([{ name: 'section walls', holds: false }]);
    const [vector] = file.vtd!;
    const { checks } = verify({ vtd: [{ ...vector, expect: { ...vector!.expect, colour: 1 } }] });
    expect(checks[0]).toMatchObject({ got: expect.stringContaining('colour=-'), holds: false });
    const none = verify({ vtd: [{ ...vector, expect: {} }] });
    expect(none.failed).toBe(1);
  });
});

/** Capabilities of a vector, without the width of the queue. */
function capsOf({ caps = {} }: Vector): Caps {
  const { queue_width, ...rest } = caps;
  return rest;
}

describe('codec', () => {
  const codec = new DescriptorCodec(module);
  const valid = (arch: Arch): Vector[] => file[arch]!.filter((vector) => vector.expect.status === 'ok');
  const wordsOf = (vector: Vector): bigint[] => vector.words.map(BigInt);

  test.each(['vtd', 'amd', 'smmuv3', 'riscv'] as const)('%s: encode is the inverse of decode', (arch) => {
    for (const vector of valid(arch)) {
      const words = wordsOf(vector);
      const { kind, fields, width } = codec.decode(arch, words, capsOf(vector));
      expect(codec.encode(arch, kind!, fields, width), vector.id).toEqual(words);
    }
  });

  test('structures: the same', () => {
    for (const { id, struct, qw } of file.structures! as unknown as { id: string; struct: string; qw: string[] }[]) {
      const words = qw.map(BigInt);
      expect(codec.encodeStructure(struct, codec.decodeStructure(struct, words), words.length), id).toEqual(words);
    }
  });

  // Sizes of the masks of the valid vectors of this file.
  test.each([
    ['vtd', 2819],
    ['amd', 791],
  ] as const)('%s: each reserved bit, set in a valid descriptor, is refused by name', (arch, expected) => {
    let count = 0;
    for (const vector of valid(arch)) {
      const words = wordsOf(vector);
      const caps = capsOf(vector);
      const { kind } = codec.decode(arch, words, caps);
      for (const [word, mask] of codec.reserved(arch, kind!, words.length, caps).entries()) {
        for (let bit = 0n; bit < 64n; bit++) {
          if (((mask >> bit) & 1n) === 0n) continue;
          const { error } = codec.decode(arch, words.with(word, words[word]! | (1n << bit)), caps);
          expect(error, `${vector.id} word ${word} bit ${bit}`).toEqual({
            reason: 'reserved_bits',
            word,
            bits: 1n << bit,
          });
          count++;
        }
      }
    }
    expect(count).toBe(expected);
  });
});

describe('a file that is not of the form is one error, one line', () => {
  const vtd = (vector: string): string => `{ "vtd": [${vector}] }`;
  const words = '"words": ["0x1", "0x2"]';
  test.each([
    ['', 't: is not JSON: Unexpected end of JSON input'],
    ['{', "t: is not JSON: Expected property name or '}' in JSON at position 1"],
    ['[]', 't: read [], expected an object'],
    ['7', 't: read 7, expected an object'],
    ['{}', 't: holds no vectors'],
    ['{"meta": {}, "sequences": [{}]}', 't: holds no vectors'],
    ['{"vtd": 3}', 't.vtd: read 3, expected an object'],
    ['{"vtd": [3]}', 't.vtd[0]: read 3, expected an object'],
    [vtd('{}'), 't.vtd[0].id: read nothing, expected a short word'],
    [vtd('{"id": "a\\u001b[31m"}'), 't.vtd[0].id: read "a\\u001b[31m", expected a short word'],
    [vtd('{"id": "a"}'), 't.vtd[0].words: read nothing, expected a list'],
    [vtd('{"id": "a", "words": ["0x1"]}'), 't.vtd[0].words: 1 items, expected 2 to 4'],
    [
      vtd('{"id": "a", "words": ["0x1", "0x10000000000000000"]}'),
      't.vtd[0].words[1]: read "0x10000000000000000", expected a number',
    ],
    [
      vtd('{"id": "a", "words": ["0x1", 1.5]}'),
      't.vtd[0].words[1]: read 1.5, expected a number from 0 to 0xffffffffffffffff',
    ],
    [vtd(`{"id": "a", ${words}}`), 't.vtd[0].expect: read nothing, expected an object'],
    [vtd(`{"id": "a", ${words}, "expect": {"fields": 1}}`), 't.vtd[0].expect.fields: read 1, expected an object'],
    [
      vtd(`{"id": "a", ${words}, "caps": {"MAMV": 64}, "expect": {}}`),
      't.vtd[0].caps.MAMV: read 64, expected a number from 0 to 63',
    ],
    [vtd(`{"id": "a", ${words}, "expect": {}}, {"id": "a", ${words}, "expect": {}}`), 't.vtd[1]: a is there twice'],
    [
      '{"ranges": [{"id": "r", "first_pfn": 2, "last_pfn": 1}]}',
      't.ranges[0].first_pfn: read 2, expected a number from 0 to 1',
    ],
    [
      '{"ranges": [{"id": "r", "first_pfn": 0, "last_pfn": "0x10000000000000"}]}',
      't.ranges[0].last_pfn: read "0x10000000000000"',
    ],
    [
      '{"structures": [{"id": "s", "struct": "vtd_pasid_entry", "qw": []}]}',
      't.structures[0].qw: 0 items, expected 1 to 8',
    ],
    [`${'['.repeat(100_000)}`, 't: is not JSON'],
    [`{"vtd": ${'[{"id":'.repeat(20_000)}`, 't: is not JSON'],
  ])('%j', (text, message) => {
    let caught: unknown;
    try {
      verifyVectors(text, 't', module);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(UsageError);
    const said = (caught as UsageError).message;
    expect(said).not.toContain('\n');
    expect(said.slice(0, message.length)).toBe(message);
  });

  test('damaged anywhere: a result, or that error', () => {
    const short = JSON.stringify(
      Object.fromEntries(
        Object.entries(file).map(([name, list]) => [name, Array.isArray(list) ? list.slice(0, 2) : list]),
      ),
    );
    const damage = fc.record({
      at: fc.nat(short.length - 1),
      drop: fc.nat(3),
      put: fc.constantFrom('', '0', '9', '"', '-', 'e', '{', ']', 'null', '0xf', '\u0000'),
    });
    fc.assert(
      fc.property(damage, fc.boolean(), ({ at, drop, put }, cut) => {
        const text = cut ? short.slice(0, at) : short.slice(0, at) + put + short.slice(at + drop);
        try {
          expect(verifyVectors(text, 't', module).checks.length).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      }),
      { numRuns: 150, seed: 1 },
    );
  });
});
