import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODEL } from '../../src/model/result.ts';
import { GOLDEN, goldenCases, wordsOf } from './cases.ts';
import { disagreement } from './twin.ts';
import { updateGolden } from './update.ts';

/** `npm run golden`: in the folder of the package, which must be built. */
const root = process.cwd();

const done = await updateGolden({
  root,
  cases: goldenCases(root),
  model: MODEL,
  changelog: readFileSync(join(root, 'CHANGELOG.md'), 'utf8'),
  outputOf: (golden, form) => {
    const args = [join(root, 'dist/cli/main.js'), ...wordsOf(golden, form)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw new Error(`iommulator ${wordsOf(golden, form).join(' ')}: ${stderr}`);
    return stdout;
  },
  disagreement: (golden, result) => disagreement(root, golden, result),
  say: (line) => console.log(line),
});
process.exitCode = done ? 0 : 1;

/** Results whose figures are kept over models, in HISTORY. */
const TRACKED = ['compare', 'compare-dma'].map((name) => join(root, GOLDEN, `cli/${name}.json`));
const HISTORY = ['--history', join(root, GOLDEN, 'history.ndjson')];
const track = (...words: readonly string[]) =>
  spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), 'track', ...words, ...HISTORY], { encoding: 'utf8' });
if (done && track('check', ...TRACKED).status !== 0) console.log(track('record', ...TRACKED).stderr.trim());
