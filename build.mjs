// What the npm scripts run. One command each, no shell, so that they are the same on every system.
//   node build.mjs              both engines and dist/, each only if its sources are newer
//   node build.mjs --check      build, types of the tests, lint, unused code, package form, then all tests
//   node build.mjs --browser    build, then the tests that want a Chromium
//   node build.mjs --slurm      build, then the tests that want a Slurm
//   node build.mjs --bench      build, then every bench, one after the other; see bench/README.md for its options
//   node build.mjs --golden     build, then traces/golden anew; see testing/golden/update.ts
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
  await buildEngines();
  buildCatalog();
  buildManifest();
  buildSources();
}

async function buildEngines() {
  const engine = Math.max(newest('assembly', isSource), age('asconfig.json'), age('build.mjs'));
  for (const target of ['release', 'checked']) {
    if (age(`build/${target}.wasm`) >= engine) continue;
    run('assemblyscript:asc', '--target', target);
    if (target !== 'release') continue;
    await inlineCalls(`build/${target}.wasm`);
    // assembly/common.ts says what this is for. It goes along in a section of the other, so that there is one file to find and send.
    const { options } = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
    const flags = Object.entries(options).flatMap(([name, value]) =>
      value === true ? [`--${name}`] : [`--${name}`, `${value}`],
    );
    const common = ['--use', 'BUILDS_COMMON=1', '--noAssert', '--outFile', 'build/common.wasm'];
    run('assemblyscript:asc', 'assembly/recordings.ts', '--config', 'none', ...common, ...flags);
    await inlineCalls('build/common.wasm');
    appendSection(`build/${target}.wasm`, 'common', readFileSync(join(root, 'build/common.wasm')));
  }
}

/** Appends a custom section to a module. */
function appendSection(path, name, bytes) {
  const label = Buffer.from(name);
  const size = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...size(value >>> 7)]);
  const content = Buffer.concat([Buffer.from(size(label.length)), label, bytes]);
  const head = Buffer.from([0, ...size(content.length)]);
  writeFileSync(join(root, path), Buffer.concat([readFileSync(join(root, path)), head, content]));
}

/**
 * Inlines more than the compiler does, whose limits cannot be set. The machines are many small functions, and around a call V8
 * puts down and takes up whatever it has in registers: 1.1 on `tlb`, 1.05 to 1.2 on machines, for half as many bytes again.
 */
async function inlineCalls(path) {
  const { default: binaryen } = await import('assemblyscript/binaryen');
  const module = binaryen.readBinary(readFileSync(join(root, path)));
  const { BulkMemory, BulkMemoryOpt, MutableGlobals, NontrappingFPToInt, SIMD128, SignExt } = binaryen.Features;
  module.setFeatures(BulkMemory | BulkMemoryOpt | MutableGlobals | NontrappingFPToInt | SIMD128 | SignExt);
  binaryen.setOptimizeLevel(3);
  binaryen.setShrinkLevel(0);
  binaryen.setAlwaysInlineMaxSize(50);
  binaryen.setFlexibleInlineMaxSize(160);
  binaryen.setOneCallerInlineMaxSize(1 << 20);
  binaryen.setAllowInliningFunctionsWithLoops(true);
  module.runPasses(['inlining-optimizing', 'dae-optimizing', 'inlining-optimizing']);
  module.optimize();
  writeFileSync(join(root, path), module.emitBinary());
}

function buildSources() {
  const sources = Math.max(newest('src', isSource), age('tsconfig.json'));
  if (age('dist/cli/main.js') >= sources && age('build/tsconfig.tsbuildinfo') >= sources) return;
  // A source that is gone must not live on in dist.
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  rmSync(join(root, 'build/tsconfig.tsbuildinfo'), { force: true });
  run('typescript:tsc', '-p', '.');
}

/** Kinds of files that are read; the other schemas are of what is written only. */
const READ = [
  ...['policy', 'machine', 'costs', 'sweep', 'gathered', 'experiment'],
  ...['result', 'exploration', 'history', 'host'],
];

/**
 * The catalog as modules: texts of its files with what is in them, as YAML takes long to read, and its JSON schemas as functions,
 * which take longest to compile.
 */
function buildCatalog() {
  const isData = (name) => /\.(yaml|json)$/.test(name);
  const changed = Math.max(newest('src/catalog', isData), age('build.mjs'));
  const folder = join(root, 'build/validators');
  if (age('build/catalog.js') > changed && existsSync(folder) && newest('build/validators', () => true) > changed)
    return;
  const read = (file) => readFileSync(join(root, 'src/catalog', file), 'utf8');
  const textsOf = (kind) => {
    const files = readdirSync(join(root, 'src/catalog', kind)).filter((file) => file.endsWith('.yaml'));
    return Object.fromEntries(files.map((file) => [file.slice(0, -'.yaml'.length), read(`${kind}/${file}`)]));
  };
  const schemas = Object.fromEntries(READ.map((name) => [name, JSON.parse(read(`schema/${name}.schema.json`))]));
  schemas.cpu = cpuSchema(schemas.machine);
  packageFolder('yaml');
  const { parse } = require('yaml');
  const shelves = { policies: textsOf('policies'), machines: textsOf('machines'), cpus: textsOf('cpus') };
  const costs = read('costs.yaml');
  const texts = [...Object.values(shelves).flatMap((shelf) => Object.values(shelf)), costs];
  writeModule('build/catalog', {
    'shelves: Readonly<Record<"policies" | "machines" | "cpus", Readonly<Record<string, string>>>>': shelves,
    'costs: string': costs,
    // In the order of the texts: those of all shelves, and of the costs.
    'contents: readonly unknown[]': texts.map((text) => parse(text, { schema: 'core' })),
    'schemas: Readonly<Record<"machine" | "cpu", Schema>>': { machine: schemas.machine, cpu: schemas.cpu },
  });
  packageFolder('ajv');
  const { Ajv } = require('ajv');
  const { default: standalone } = require('ajv/dist/standalone');
  const ajv = new Ajv({ verbose: true, messages: false, allowUnionTypes: true, code: { source: true, esm: true } });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, schema] of Object.entries(schemas)) {
    const code = standalone(ajv, ajv.compile(schema));
    // The one thing that it would take from a package: the length of a text in code points.
    const whole = code.replaceAll('require("ajv/dist/runtime/ucs2length").default', '(text) => [...text].length');
    if (whole.includes('require(')) throw new Error(`the validator of ${name} imports a package`);
    writeFileSync(join(folder, `${name}.js`), whole);
    const type = "import type { Validator } from '../../src/catalog/schema.js';";
    writeFileSync(
      join(folder, `${name}.d.ts`),
      `${type}\ndeclare const validate: Validator;\nexport default validate;\n`,
    );
  }
}

/** What the package says of itself. */
function buildManifest() {
  if (age('build/package.js') > Math.max(age('package.json'), age('build.mjs'))) return;
  writeModule('build/package', { 'version: string': require('./package.json').version });
}

/** Writes constants, each `name: type`, as a module and its types. */
function writeModule(path, constants) {
  const code = Object.entries(constants).map(
    ([head, value]) => `export const ${head.split(':')[0]} = ${JSON.stringify(value)};\n`,
  );
  const types = Object.keys(constants).map((head) => `export declare const ${head};\n`);
  mkdirSync(join(root, dirname(path)), { recursive: true });
  writeFileSync(join(root, `${path}.js`), code.join(''));
  writeFileSync(
    join(root, `${path}.d.ts`),
    `import type { Schema } from '../src/catalog/schema.js';\n${types.join('')}`,
  );
}

/** A CPU's file is the group of a machine's file, and says what it is as that does. */
function cpuSchema({ properties }) {
  const { name, title, source, cpu } = properties;
  return {
    ...cpu,
    required: ['name', 'title', 'source', ...(cpu.required ?? [])],
    properties: { name, title, source, ...cpu.properties },
  };
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
  // What the build makes is imported from beside the sources.
  for (const name of ['release.wasm', 'catalog.js', 'package.js', 'validators'])
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
