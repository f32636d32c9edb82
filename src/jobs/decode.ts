import { DescriptorCodec } from '../engine/descriptor.ts';
import { type Arch, CAPABILITIES, type Capability, type Caps, type Decoded } from '../model/descriptor.ts';
import { UsageError } from '../model/errors.ts';
import { nearText, quote } from '../model/near.ts';
import { engineModule } from '../trace/module.ts';

/** What `decode` is asked: words as they were typed, capabilities such as `mamv=18,dit`, bits of a slot. */
export interface DecodeRequest {
  readonly arch: Arch;
  readonly words: readonly string[];
  readonly caps?: string | undefined;
  readonly width?: number | undefined;
}

/** Takes one descriptor apart. Missing words of a wider slot are 0. */
export function decodeDescriptor({ arch, words, caps = '', width }: DecodeRequest): Decoded {
  const given = words.map(parseWord);
  const slots = arch === 'vtd' ? [2, 4] : [2];
  const slot = width === undefined ? slots.find((length) => length >= given.length) : width / 64;
  if (slot === undefined || !slots.includes(slot) || given.length > slot) {
    const bits = slots.map((length) => `${length} words (${length * 64} bits)`).join(' or ');
    const asked = width === undefined ? '' : ` and --width ${width}`;
    throw new UsageError(`decode ${arch}: read ${given.length} words${asked}, expected ${bits}`);
  }
  const padded = [...given, 0n, 0n, 0n, 0n].slice(0, slot);
  return new DescriptorCodec(engineModule()).decode(arch, padded, parseCaps(arch, caps));
}

function parseWord(text: string): bigint {
  const digits = /^(?:0x([0-9a-f_]{1,19})|([0-9a-f]{16}|\d))$/i.exec(text);
  const hex = (digits?.[1] ?? digits?.[2] ?? '').replaceAll('_', '');
  if (hex === '' || hex.length > 16) {
    throw new UsageError(`word ${quote(text)}: expected 64 bits in hexadecimal, such as 0x70032, lowest address first`);
  }
  return BigInt(`0x${hex}`);
}

/** `mamv=18,dit` -> values by name; a name alone is 1. */
function parseCaps(arch: Arch, text: string): Caps {
  const known: Readonly<Record<string, Capability>> = CAPABILITIES[arch];
  const caps: Record<string, number> = {};
  for (const item of text.split(',').filter((part) => part !== '')) {
    const [name = '', value = '1', ...rest] = item.split('=');
    const found = Object.keys(known).find((key) => key.toLowerCase() === name.toLowerCase());
    if (found === undefined) {
      const names = Object.keys(known).join(', ') || 'none';
      throw new UsageError(
        `--caps: no capability ${quote(name)} of ${arch}, expected ${names}${nearText(name, Object.keys(known))}`,
      );
    }
    const { most, is } = known[found]!;
    if (!/^\d{1,2}$/.test(value) || Number(value) > most || rest.length > 0) {
      throw new UsageError(
        `--caps ${found}: read ${quote(item.slice(name.length + 1))}, expected 0 to ${most} (${is})`,
      );
    }
    caps[found] = Number(value);
  }
  return caps;
}
