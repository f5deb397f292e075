/**
 * One BTF type from words to data. Every reference to another type and every name is checked here,
 * so what has been decoded once can be followed without looking.
 *
 * Format: `Documentation/bpf/btf.rst`. The info word is read as libbpf reads it since 1.7: `vlen`
 * in bits 0-23, the kind in bits 24-30, the kind flag in bit 31; older writers leave the additional
 * bits zero.
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from './btf.ts';
import type { BtfEnum64, BtfInt, BtfLinkage, BtfMember, BtfType, BtfWrapper } from './types.ts';

const WRAPPERS: Readonly<Record<number, BtfWrapper['kind']>> = {
  [BTF_KIND.PTR]: 'ptr',
  [BTF_KIND.TYPEDEF]: 'typedef',
  [BTF_KIND.VOLATILE]: 'volatile',
  [BTF_KIND.CONST]: 'const',
  [BTF_KIND.RESTRICT]: 'restrict',
  [BTF_KIND.TYPE_TAG]: 'type_tag',
};

const LINKAGES: readonly BtfLinkage[] = ['static', 'global', 'extern'];

/** Decodes the type whose words start at `at`. The index pass has checked that they are all there. */
export function decodeType(btf: Btf, id: number, at: number): BtfType {
  const { words } = btf;
  const info = words[at + 1]!;
  const kind = (info >>> 24) & 0x7f;
  const vlen = info & 0xffffff;
  const flag = info >>> 31 === 1;
  const name = btf.string(words[at]!);
  const third = words[at + 2]!;
  const wrapper = WRAPPERS[kind];
  if (wrapper !== undefined) {
    return { kind: wrapper, id, name, typeId: reference(btf, id, third) };
  }
  switch (kind) {
    case BTF_KIND.INT:
      return decodeInt(id, name, third, words[at + 3]!);
    case BTF_KIND.ARRAY:
      return {
        kind: 'array',
        id,
        name,
        elementTypeId: reference(btf, id, words[at + 3]!),
        indexTypeId: reference(btf, id, words[at + 4]!),
        length: words[at + 5]!,
      };
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return {
        kind: kind === BTF_KIND.STRUCT ? 'struct' : 'union',
        id,
        name,
        sizeBytes: third,
        members: decodeMembers(btf, id, at + 3, vlen, flag),
      };
    case BTF_KIND.ENUM:
      return {
        kind: 'enum',
        id,
        name,
        sizeBytes: third,
        signed: flag,
        values: decodeEnum(btf, at + 3, vlen, flag),
      };
    case BTF_KIND.ENUM64:
      return {
        kind: 'enum64',
        id,
        name,
        sizeBytes: third,
        signed: flag,
        values: decodeEnum64(btf, at + 3, vlen, flag),
      };
    case BTF_KIND.FWD:
      return { kind: 'fwd', id, name, of: flag ? 'union' : 'struct' };
    case BTF_KIND.FUNC:
      return {
        kind: 'func',
        id,
        name,
        typeId: reference(btf, id, third),
        linkage: LINKAGES[vlen] ?? 'unknown',
      };
    case BTF_KIND.FUNC_PROTO:
      return {
        kind: 'func_proto',
        id,
        name,
        returnTypeId: reference(btf, id, third),
        parameters: decodeParameters(btf, id, at + 3, vlen),
      };
    case BTF_KIND.VAR:
      return {
        kind: 'var',
        id,
        name,
        typeId: reference(btf, id, third),
        linkage: LINKAGES[words[at + 3]!] ?? 'unknown',
      };
    case BTF_KIND.DATASEC:
      return {
        kind: 'datasec',
        id,
        name,
        sizeBytes: third,
        variables: decodeSection(btf, id, at + 3, vlen),
      };
    case BTF_KIND.FLOAT:
      return { kind: 'float', id, name, sizeBytes: third };
    default:
      // The index pass knows the same kinds; what remains is the declaration tag.
      return {
        kind: 'decl_tag',
        id,
        name,
        typeId: reference(btf, id, third),
        componentIndex: words[at + 3]! | 0,
      };
  }
}

function reference(btf: Btf, id: number, target: number): number {
  if (target >= btf.typeCount) {
    throw btf.error(`type [${id}] refers to type [${target}], but ids end at ${btf.typeCount - 1}`);
  }
  return target;
}

function decodeInt(id: number, name: string, sizeBytes: number, word: number): BtfInt {
  const encoding = (word >>> 24) & 0xf;
  return {
    kind: 'int',
    id,
    name,
    sizeBytes,
    bits: word & 0xff,
    bitOffset: (word >>> 16) & 0xff,
    encoding: encoding & 4 ? 'bool' : encoding & 2 ? 'char' : encoding & 1 ? 'signed' : 'unsigned',
  };
}

function decodeMembers(
  btf: Btf,
  id: number,
  start: number,
  count: number,
  bitfields: boolean,
): BtfMember[] {
  const { words } = btf;
  const members: BtfMember[] = [];
  for (let at = start; at < start + count * 3; at += 3) {
    const offset = words[at + 2]!;
    members.push({
      name: btf.string(words[at]!),
      typeId: reference(btf, id, words[at + 1]!),
      // With the kind flag the word holds the bitfield's width in its upper byte.
      bitOffset: bitfields ? offset & 0xffffff : offset,
      bitSize: bitfields ? offset >>> 24 : 0,
    });
  }
  return members;
}

function decodeEnum(btf: Btf, start: number, count: number, signed: boolean) {
  const { words } = btf;
  const values: { readonly name: string; readonly value: number }[] = [];
  for (let at = start; at < start + count * 2; at += 2) {
    const value = words[at + 1]!;
    values.push({ name: btf.string(words[at]!), value: signed ? value | 0 : value });
  }
  return values;
}

function decodeEnum64(btf: Btf, start: number, count: number, signed: boolean) {
  const { words } = btf;
  const values: BtfEnum64['values'][number][] = [];
  for (let at = start; at < start + count * 3; at += 3) {
    const value = (BigInt(words[at + 2]!) << 32n) | BigInt(words[at + 1]!);
    values.push({
      name: btf.string(words[at]!),
      value: signed ? BigInt.asIntN(64, value) : value,
    });
  }
  return values;
}

function decodeParameters(btf: Btf, id: number, start: number, count: number) {
  const { words } = btf;
  const parameters: { readonly name: string; readonly typeId: number }[] = [];
  for (let at = start; at < start + count * 2; at += 2) {
    parameters.push({
      name: btf.string(words[at]!),
      typeId: reference(btf, id, words[at + 1]!),
    });
  }
  return parameters;
}

function decodeSection(btf: Btf, id: number, start: number, count: number) {
  const { words } = btf;
  const variables: {
    readonly typeId: number;
    readonly offset: number;
    readonly sizeBytes: number;
  }[] = [];
  for (let at = start; at < start + count * 3; at += 3) {
    variables.push({
      typeId: reference(btf, id, words[at]!),
      offset: words[at + 1]!,
      sizeBytes: words[at + 2]!,
    });
  }
  return variables;
}
