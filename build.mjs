// What the npm scripts run. One command each, no shell, so that they are the same on every system.
//   node build.mjs              both engines and dist/, each only if its sources are newer
//   node build.mjs --check      build, types of the tests, lint, unused code, package form, then all tests
//   node build.mjs --browser    build, then the tests that want a Chromium
//   node build.mjs --slurm      build, then the tests that want a Slurm
//   node build.mjs --bench      build, then every bench, one after the other; see bench/README.md for its options
//   node build.mjs --golden     build, then traces/golden anew; see testing/golden/update.ts
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** Runs the JavaScript entry of a package's command. */
function run(bin, ...args) {
  const [name, command = name.split('/').pop()] = bin.split(':');
  const folder = packageFolder(name);
  const manifest = require(join(folder, 'package.json'));
  const entry = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[command];
  const { status } = spawnSync(process.execPath, [join(folder, entry), ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function packageFolder(name) {
  const folder = join(root, 'node_modules', name);
  if (existsSync(folder)) return folder;
  console.error(`build: ${name} is not installed; run npm ci first`);
  process.exit(1);
}

function newest(folder, accept) {
  let time = 0;
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) time = Math.max(time, newest(path, accept));
    else if (accept(entry.name)) time = Math.max(time, statSync(join(root, path)).mtimeMs);
  }
  return time;
}

const age = (file) => (existsSync(join(root, file)) ? statSync(join(root, file)).mtimeMs : 0);
const isSource = (name) => name.endsWith('.ts') && !name.endsWith('.test.ts');

async function build() {
  buildEngines();
  buildSources();
  await buildValidators();
}

function buildEngines() {
  const engine = Math.max(newest('assembly', isSource), age('asconfig.json'));
  for (const target of ['release', 'checked']) {
    if (age(`build/${target}.wasm`) < engine) run('assemblyscript:asc', '--target', target);
  }
}

function buildSources() {
  const sources = Math.max(newest('src', isSource), age('tsconfig.json'));
  if (age('dist/cli/main.js') >= sources && age('build/tsconfig.tsbuildinfo') >= sources) return;
  // A source that is gone must not live on in dist.
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  rmSync(join(root, 'build/tsconfig.tsbuildinfo'), { force: true });
  run('typescript:tsc', '-p', '.');
}

/** The JSON schemas as functions: to compile them takes longer than all else that a short command does. */
async function buildValidators() {
  const folder = join(root, 'build/validators');
  const schemas = newest('src/catalog/schema', (name) => name.endsWith('.json'));
  const built = existsSync(folder) ? newest('build/validators', () => true) : 0;
  if (built > Math.max(schemas, age('src/catalog/schema.ts'), age('build.mjs'))) return;
  packageFolder('ajv');
  const { Ajv } = require('ajv');
  const { default: standalone } = require('ajv/dist/standalone');
  const { SCHEMAS, schemaOf } = await import(pathToFileURL(join(root, 'dist/catalog/schema.js')).href);
  const ajv = new Ajv({ verbose: true, messages: false, allowUnionTypes: true, code: { source: true } });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of SCHEMAS) writeFileSync(join(folder, `${name}.cjs`), standalone(ajv, ajv.compile(schemaOf(name))));
}

await build();
if (process.argv.includes('--check')) {
  run('typescript:tsc', '-p', 'testing');
  run('@biomejs/biome:biome', 'check');
  run('knip');
  run('publint');
  run('vitest', 'run');
}
if (process.argv.includes('--slurm')) run('vitest', 'run', '--config', 'vitest.slurm.config.ts');
if (process.argv.includes('--browser')) run('vitest', 'run', '--config', 'vitest.browser.config.ts');

/** Compiles the project in `folder`, which imports sources of `src`, to build/`name`. */
function compile(folder, name) {
  const out = join(root, 'build', name);
  rmSync(out, { recursive: true, force: true });
  run('typescript:tsc', '-p', folder);
  // The catalog is read from beside the code that reads it.
  const isData = (path) => statSync(path).isDirectory() || !path.endsWith('.ts');
  cpSync(join(root, 'src/catalog'), join(out, 'src/catalog'), { recursive: true, filter: isData });
  for (const name of ['release.wasm', 'validators'])
    cpSync(join(root, 'build', name), join(out, 'build', name), { recursive: true });
  return out;
}

/** Runs a compiled program of the project. */
function node(file, ...args) {
  const { status } = spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

if (process.argv.includes('--bench')) {
  const args = process.argv.slice(process.argv.indexOf('--bench') + 1);
  const name = args[0]?.startsWith('-') === false ? args.shift() : '';
  const out = join(compile('bench', 'bench'), 'bench');
  const benches = readdirSync(out).filter((file) => file.endsWith('.bench.js') && file.startsWith(name));
  if (benches.length === 0) {
    console.error(`bench: no file of bench/ begins with "${name}"`);
    process.exit(2);
  }
  for (const file of benches) node(join(out, file), ...args);
}
if (process.argv.includes('--golden')) node(join(compile('testing/golden', 'golden'), 'testing/golden/main.js'));
