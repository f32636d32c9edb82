import { DescriptorCodec, MAX_WORDS } from '../../engine/descriptor.ts';
import { hex, STRUCTURES } from '../../model/descriptor.ts';
import type { Section } from './section.ts';
import { optionalHex } from './value.ts';

/** Tables, logs and queue entries in memory: words -> fields. */
const structures: Section = {
  name: 'structures',
  start: (module) => {
    const codec = new DescriptorCodec(module);
    return (vector, both) => {
      const name = vector.need('struct').word();
      const words = vector
        .need('qw')
        .items(1, MAX_WORDS)
        .map((word) => word.number());
      const known = Object.hasOwn(STRUCTURES, name);
      both.add('struct', name, known ? name : undefined);
      const fields = known ? codec.decodeStructure(name, words) : [];
      for (const [field, value] of vector.need('expect').entries()) {
        const got = fields.find((found) => found.name === field);
        both.add(field, hex(value.number()), optionalHex(got?.value));
      }
    };
  },
};

/** Where their fields are: `FIELD: [word, lowest bit, highest bit, left shift]`. */
const structFields: Section = {
  name: 'struct_fields',
  start: (module) => {
    const codec = new DescriptorCodec(module);
    return (vector, both) => {
      const name = vector.need('id').word();
      const rows = Object.hasOwn(STRUCTURES, name) ? codec.structureRows(name) : [];
      for (const [field, value] of vector.need('fields').entries()) {
        const given = value.items(3, 4).map((item) => Number(item.number(63n)));
        const got = rows.find((row) => row.name === field);
        both.add(field, [...given, 0].slice(0, 4).join(','), got && [got.word, got.low, got.high, got.shift].join(','));
      }
    };
  },
};

export const structureSections: readonly Section[] = [structures, structFields];
