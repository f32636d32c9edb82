import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { engineRows, referenceRows } from '../../testing/order.ts';
import { openBytes, PROVENANCE } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { ORDER_CAUSES, ORDER_DROPS, ORDER_POLICIES, type OrderMachine, PREDICTED } from '../model/order.ts';
import type { EventName } from '../model/trace.ts';
import { codec } from '../trace/input.ts';
import { TraceWriter } from '../trace/writer.ts';
import { OrderEngine } from './order.ts';

const SPACES = 3;
const CPUS = [0, 1];
const DEVICES = [2, 3, 4];

/** A small machine, so that caches, queues and rings fill. */
const machines: fc.Arbitrary<OrderMachine> = fc.record({
  name: fc.constant('small'),
  commands: fc.constantFrom('vtd', 'amdvi'),
  entries: fc.integer({ min: 1, max: 12 }),
  drops: fc.constantFrom(...ORDER_DROPS),
  maxOrder: fc.integer({ min: 0, max: 18 }),
  slots: fc.constantFrom(4, 8, 256),
  queue: fc.integer({ min: 2, max: 6 }),
});

/** One thing that happens, by numbers that `Story` makes sense of. */
const happening = fc.record({
  what: fc.constantFrom(
    ...(['map', 'map', 'map', 'unmap', 'unmap', 'dma', 'dma', 'dma', 'dma', 'dma'] as const),
    ...(['dmaRaw', 'timer', 'lazy', 'hold', 'submit', 'attach', 'idle'] as const),
  ),
  agent: fc.nat(5),
  space: fc.nat(SPACES - 1),
  pick: fc.nat(1 << 20),
  pages: fc.oneof(fc.constantFrom(1, 1, 2, 4, 32), fc.integer({ min: 1, max: 40 })),
  // Few places, some of which agree in the low byte only, some far up.
  page: fc.oneof(fc.nat(60), fc.constantFrom(0x100, 0x103, 0x1fe, 0xfffff, 2 ** 36, 2 ** 44 + 1)),
  write: fc.boolean(),
  prot: fc.constantFrom(1, 2, 3, 3),
});
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

interface Live {
  readonly space: number;
  readonly first: number;
  readonly count: number;
}

/** Writes happenings as a trace that a recording could be: what is unmapped was mapped, tokens are held before. */
class Story {
  private readonly parts: Uint8Array[] = [];
  private readonly out = new TraceWriter({ write: (bytes) => this.parts.push(bytes.slice()) }, codec);
  private instances = 0;
  private live: Live[] = [];
  private readonly ended: number[] = [];
  private readonly pages = new Map<number, number>();
  private held: number[] = [];
  private holds = false;

  constructor(kind: number, caching: boolean, hint: boolean) {
    for (let i = 0; i < SPACES; i++) this.out.space(`domain ${i}`, 'domain');
    for (const cpu of CPUS) this.out.agent(`cpu${cpu}`, 'cpu', 0);
    for (const device of DEVICES) this.out.agent(`0${device}:00.0`, 'device', device % SPACES);
    this.event(0, 'iommu', [kind, Number(caching), Number(hint), 0x12_3456_7000]);
  }

  add(it: Happening): void {
    const cpu = CPUS[it.agent % CPUS.length]!;
    const device = DEVICES[it.agent % DEVICES.length]!;
    switch (it.what) {
      case 'map':
        this.map(cpu, it);
        break;
      case 'unmap':
        this.unmap(cpu, it.pick);
        break;
      case 'dma': {
        if (this.instances === 0) return;
        // Mostly a mapping that lives, now and then one that is gone.
        const lives = this.live.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
        const from = it.pick % 5 === 0 || lives.length === 0 ? [...lives, ...this.ended] : lives;
        const id = from[it.pick % from.length]!;
        this.event(device, 'dma', [id, it.page % this.pages.get(id)!, 16, Number(it.write), 0]);
        break;
      }
      case 'dmaRaw':
        this.event(device, 'dmaRaw', [it.space, it.page, 0, Number(it.write)]);
        break;
      case 'attach':
        this.event(device, 'attach', [device % SPACES, 1 + (device % SPACES), device << 8, Number(it.write)]);
        break;
      case 'hold':
        this.hold(cpu, it.pick % 64);
        break;
      case 'submit':
        if (this.held.length > 0) this.event(cpu, 'submit', [this.held.splice(it.pick % this.held.length, 1)[0]!]);
        break;
      case 'timer':
      case 'lazy':
        this.event(cpu, it.what, [it.space]);
        break;
      default:
        this.event(cpu, 'idle', []);
    }
  }

  bytes(): Uint8Array {
    this.out.finish(PROVENANCE);
    return Buffer.concat(this.parts);
  }

  private map(cpu: number, { space, pages, page, pick, prot }: Happening): void {
    const first = this.instances;
    // A scatter list: two pieces, the second joined.
    const pieces = pick % 4 === 0 && pages > 1 ? [1, pages - 1] : [pages];
    let at = page;
    for (const [i, length] of pieces.entries()) {
      this.pages.set(this.instances, length);
      this.event(cpu, 'map', [space, this.instances++, length, (pick >> 2) * (pick % 3), prot, at, Number(i > 0)]);
      at += length;
    }
    this.holds = false;
    this.live.push({ space, first, count: pieces.length });
  }

  private unmap(cpu: number, pick: number): void {
    const [gone] = this.live.splice(pick % Math.max(1, this.live.length), 1);
    if (!gone) return;
    for (let i = 0; i < gone.count; i++) this.ended.push(gone.first + i);
    this.event(cpu, 'unmap', [gone.space, gone.first, gone.count, 0]);
    this.holds = false;
  }

  private hold(cpu: number, token: number): void {
    if (this.holds || this.held.includes(token)) return;
    this.event(cpu, 'hold', [token]);
    this.held = [...this.held, token];
    this.holds = true;
  }

  private event(agent: number, op: Exclude<EventName, 'switch'>, fields: number[]): void {
    this.out.event(agent, op, fields);
  }
}

const stories = fc
  .record({
    caching: fc.boolean(),
    hint: fc.boolean(),
    /** Devices that are attached from the beginning, as in a recording. */
    attached: fc.boolean(),
    happenings: fc.array(happening, { maxLength: 400, size: 'max' }),
  })
  .map((story) => ({ ...story, toString: () => JSON.stringify(story) }));

function trace(
  commands: OrderMachine['commands'],
  { caching, hint, attached, happenings }: typeof stories extends fc.Arbitrary<infer T> ? T : never,
) {
  const story = new Story(commands === 'vtd' ? 0 : 1, caching, hint);
  const attach = (agent: number): Happening => ({ ...PLAIN, what: 'attach', agent, write: agent === 0 });
  if (attached) for (const agent of DEVICES.keys()) story.add(attach(agent));
  for (const it of happenings) story.add(it);
  return openBytes(story.bytes());
}

const PLAIN: Happening = { what: 'idle', agent: 0, space: 0, pick: 0, pages: 1, page: 0, write: false, prot: 3 };

describe.each(BUILDS)('order replay, %s build', (build) => {
  const module = engineModule(build);
  const reached = new Map<string, number>();
  const count = (name: string): void => {
    reached.set(name, (reached.get(name) ?? 0) + 1);
  };

  test('engine = reference on random recordings', () => {
    fc.assert(
      fc.property(machines, fc.constantFrom(...ORDER_POLICIES), stories, (machine, policy, story) => {
        const opened = trace(machine.commands, story);
        const rows = engineRows(module, opened, machine, policy);
        expect(rows).toEqual(referenceRows(opened, machine, policy));
        for (const { kind, cause, values } of rows) {
          count(kind);
          count(cause);
          if (kind === 'descriptor') count(`${machine.commands} ${values[0]}`);
        }
      }),
      { numRuns: 300, seed: 7 },
    );
  });

  test('and these reach every kind of row, every cause and every command', () => {
    const commands = ['vtd 1', 'vtd 2', 'vtd 3', 'vtd 5', 'amdvi 1', 'amdvi 3', 'amdvi 4'];
    const missing = [...PREDICTED, ...ORDER_CAUSES, ...commands].filter((name) => (reached.get(name) ?? 0) < 20);
    expect(missing).toEqual([]);
  });

  test('a record that does not fit the tables is an error of the trace', () => {
    const writer = (op: Exclude<EventName, 'switch'>, fields: number[]) => {
      const parts: Uint8Array[] = [];
      const out = new TraceWriter({ write: (bytes) => parts.push(bytes.slice()) }, codec);
      out.space('domain', 'domain');
      out.agent('cpu0', 'cpu', 0);
      out.event(0, 'map', [0, 0, 1, 0, 3, 0, 0]);
      out.event(0, op, fields);
      out.finish(PROVENANCE);
      return openBytes(Buffer.concat(parts));
    };
    const feed = (opened: ReturnType<typeof openBytes>): void => {
      const machine = {
        name: '',
        commands: 'vtd',
        entries: 4,
        drops: 'block',
        maxOrder: 9,
        slots: 256,
        queue: 4,
      } as const;
      const engine = new OrderEngine(module, machine, 'recorded', opened.meta);
      for (const chunk of opened.chunks()) engine.feed(chunk);
    };
    expect(() => feed(writer('unmap', [0, 0, 7, 0]))).toThrow('record 1: unmap names instance 6 of 1');
    expect(() => feed(writer('hold', [64]))).toThrow('record 1: hold names token 64 of 64');
    expect(() => feed(writer('map', [0, 0, 2 ** 40, 0, 3, 0, 0]))).toThrow('record 1: map names');
    expect(() => feed(writer('attach', [0, 70_000, 0, 0]))).toThrow('domain or source');
  });
});
