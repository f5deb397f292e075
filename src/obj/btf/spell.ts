/**
 * BTF types spelled as C: `struct flow_key`, `__u32 [3][4]`, `int (*)(struct ctx *, int)`.
 */

import type { Btf } from './btf.ts';
import { MAX_TYPE_DEPTH } from './layout.ts';
import type { BtfComposite, BtfEnum, BtfEnum64, BtfType } from './types.ts';

/** Anonymous types are written out up to this many characters, then cut to `{ ... }`. */
const MAX_BODY = 200;
/**
 * One spelling looks at this many types and writes about this many characters at most. Types can
 * refer to others many times over, so that depth alone bounds nothing.
 */
const MAX_TYPES = 300;
const MAX_TEXT = 4000;

/**
 * The C spelling of a type, with the name of what is declared in its place if one is given:
 * `spellType(btf, id, 'x')` is a declaration of `x`. Structs, unions and enums with a name are
 * spelled by it; anonymous ones with their members.
 *
 * Never throws for well-formed BTF, cycles included; what nests too deeply is cut to `...`.
 */
export function spellType(btf: Btf, id: number, declared = ''): string {
  return new Speller(btf).spell(id, declared, 0);
}

class Speller {
  readonly #btf: Btf;
  /** Characters of bodies written so far. */
  #written = 0;
  #types = 0;
  #text = 0;

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  spell(id: number, declared: string, depth: number): string {
    this.#types += 1;
    if (depth > MAX_TYPE_DEPTH || this.#isSpent()) {
      return join('...', declared);
    }
    const type = this.#btf.type(id);
    if (type.name.length > MAX_TEXT) {
      return join('...', declared);
    }
    this.#text += type.name.length + 1;
    switch (type.kind) {
      case 'ptr':
        return this.#pointer(type.typeId, `*${declared}`, depth);
      case 'const':
      case 'volatile':
      case 'restrict':
        return this.#qualified(type.kind, type.typeId, declared, depth);
      case 'type_tag':
      case 'var':
        return this.spell(type.typeId, declared, depth + 1);
      case 'array':
        return this.spell(type.elementTypeId, `${declared}[${type.length}]`, depth + 1);
      case 'func_proto': {
        const parameters = this.#parameters(type.parameters, depth);
        return this.spell(type.returnTypeId, `${declared}(${parameters})`, depth + 1);
      }
      case 'func':
        return this.spell(type.typeId, type.name, depth + 1);
      default:
        return join(this.#base(type, depth), declared);
    }
  }

  #isSpent(): boolean {
    return this.#types > MAX_TYPES || this.#text > MAX_TEXT;
  }

  #pointer(target: number, declared: string, depth: number): string {
    const kind = this.#btf.type(target).kind;
    // An array or a function binds tighter than the star in front of the name.
    const inner = kind === 'array' || kind === 'func_proto' ? `(${declared})` : declared;
    return this.spell(target, inner, depth + 1);
  }

  #qualified(qualifier: string, target: number, declared: string, depth: number): string {
    // `int * const p`: a qualified pointer has its qualifier behind the star.
    if (this.#btf.type(target).kind === 'ptr') {
      return this.spell(
        target,
        declared === '' ? ` ${qualifier}` : ` ${qualifier} ${declared}`,
        depth + 1,
      );
    }
    const text = this.spell(target, declared, depth + 1);
    // A qualified array is an array of qualified elements, and compilers often say both.
    return text.startsWith(`${qualifier} `) ? text : `${qualifier} ${text}`;
  }

  #parameters(
    parameters: readonly { readonly name: string; readonly typeId: number }[],
    depth: number,
  ): string {
    if (parameters.length === 0) {
      return 'void';
    }
    const out: string[] = [];
    for (const { name, typeId } of parameters) {
      const isVariadic = typeId === 0 && name === '';
      out.push(isVariadic ? '...' : this.spell(typeId, '', depth + 1));
      if (this.#isSpent()) {
        out.push('...');
        break;
      }
    }
    return out.join(', ');
  }

  #base(type: BtfType, depth: number): string {
    switch (type.kind) {
      case 'void':
        return 'void';
      case 'struct':
      case 'union':
        return type.name === ''
          ? `${type.kind} ${this.#body(() => this.#members(type, depth))}`
          : `${type.kind} ${type.name}`;
      case 'enum':
      case 'enum64':
        return type.name === ''
          ? `enum ${this.#body(() => enumerators(type))}`
          : `enum ${type.name}`;
      case 'fwd':
        return `${type.of} ${type.name}`;
      default:
        return type.name;
    }
  }

  #body(write: () => string): string {
    if (this.#written > MAX_BODY) {
      return '{ ... }';
    }
    const text = write();
    this.#written += text.length;
    return text.length > MAX_BODY ? '{ ... }' : text === '' ? '{}' : `{ ${text} }`;
  }

  #members(type: BtfComposite, depth: number): string {
    const out: string[] = [];
    for (const member of type.members) {
      const text = `${this.spell(member.typeId, member.name, depth + 1)}${member.bitSize > 0 ? `:${member.bitSize}` : ''};`;
      out.push(text);
      this.#written += text.length;
      if (this.#written > MAX_BODY) {
        return `${out.join(' ')} ...`;
      }
    }
    return out.join(' ');
  }
}

function enumerators(type: BtfEnum | BtfEnum64): string {
  const shown = type.values.slice(0, 8).map(({ name, value }) => `${name} = ${value}`);
  return `${shown.join(', ')}${type.values.length > 8 ? ', ...' : ''}`;
}

function join(base: string, declared: string): string {
  return declared === '' || declared.startsWith('[')
    ? `${base}${declared}`
    : `${base} ${declared.trimStart()}`;
}
