import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { asUser, ROOT, shell, withFolder } from '../testing/cli.ts';
import { loadCosts } from './catalog/catalog.ts';
import { CONFIDENCES } from './model/cost.ts';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1]!);

/** The session is some forty commands: on a busy machine they take a while. */
const SESSION_MS = 300_000;

test(
  'every command of the session prints what the README shows',
  () =>
    withFolder((folder) => {
      symlinkSync(join(ROOT, 'traces'), join(folder, 'traces'));
      writeFileSync(join(folder, 'after-unlock.yaml'), blocks('yaml')[0]!);
      const commands = blocks('console').flatMap((block) => block.split(/^\$ /m).slice(1));
      expect(commands.length).toBeGreaterThan(5);
      for (const command of commands) {
        const [line, ...shown] = command.split('\n');
        const { stdout, stderr: told } = shell(line!, folder);
        // On a busy machine a run takes long enough to tell of its progress.
        const stderr = told.replace(/^replaying .*\n/gm, '');
        expect({ line, stdout, stderr }).toEqual({ line, stdout: shown.join('\n'), stderr: '' });
      }
    }),
  SESSION_MS,
);

test(
  'npm start prints what the README shows',
  () => {
    // golden.test.ts holds that this command prints what stands in this file.
    expect(scripts.start).toBe('node dist/cli/main.js compare sqlite');
    expect(blocks('text')[0]).toBe(readFileSync(join(ROOT, 'traces/golden/cli/compare.txt'), 'utf8'));
  },
  SESSION_MS,
);

test('the npm commands shown exist', () => {
  const names = [
    ...blocks('sh')
      .join('')
      .matchAll(/npm (?:run )?(\w+)/g),
  ].map((match) => match[1]!);
  expect(names).toEqual(['ci', 'start', 'ci', 'test']);
  for (const name of names) if (name !== 'ci') expect(scripts).toHaveProperty(name);
});

test('the library does what the README shows', async () => {
  expect(await asUser(blocks('js')[0]!)).toBe(blocks('text')[1]);
});

test('how many costs were measured is as the catalog says', () => {
  const costs = Object.values(loadCosts());
  const [measured, derived, assumed] = CONFIDENCES.map(
    (each) => costs.filter((cost) => cost.confidence === each).length,
  );
  expect(readme).toContain(
    `Of ${costs.length}, ${measured} were measured and published as such, ${derived} are arithmetic on published figures, ${assumed} are assumed`,
  );
});

test('traces/README.md names the traces by their digests', () => {
  const text = readFileSync(join(ROOT, 'traces/README.md'), 'utf8');
  const shipped = readdirSync(join(ROOT, 'traces')).filter((file) => file.endsWith('.trace'));
  for (const file of [...shipped, 'outside/sqlite.trace', 'outside/redis.trace']) {
    const digest = createHash('sha256')
      .update(readFileSync(join(ROOT, 'traces', file)))
      .digest('hex');
    expect(text, file).toContain(digest);
  }
});
