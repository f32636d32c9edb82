import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../testing/cli.ts';
import { catalogYaml } from '../catalog/catalog.ts';
import { linked } from './listings.ts';

test('an editor finds the schema of a copied file, wherever the copy is', () => {
  const files = [
    ['policies', 'range-end', 'policy'],
    ['machines', 'amd-v2', 'machine'],
    ['costs', undefined, 'costs'],
  ] as const;
  for (const [kind, name, schema] of files) {
    for (const [output, folder] of [
      [undefined, '.'],
      ['-', '.'],
      ['deep/er/mine.yaml', 'deep/er'],
      [join(ROOT, 'mine.yaml'), ROOT],
    ] as const) {
      const [first, ...rest] = linked(catalogYaml(kind, name), output).split('\n');
      const path = /^# yaml-language-server: \$schema=(\S+)$/.exec(first!)![1]!;
      expect(resolve(folder, path)).toBe(join(ROOT, `src/catalog/schema/${schema}.schema.json`));
      expect(existsSync(resolve(folder, path))).toBe(true);
      expect(rest.join('\n')).toBe(catalogYaml(kind, name).replace(/^.*\n/, ''));
    }
  }
});
