/**
 * The pure part of skep, published as `skep/obj`: reads BPF objects from bytes on any platform,
 * without a kernel, without a native library, in a browser too.
 */

export {
  hasCode,
  MapDefinitionError,
  ObjectError,
  type ObjectPlace,
  SkepError,
  type SkepErrorCode,
} from '../errors.ts';
export { Btf } from './btf/btf.ts';
export { checkBtf } from './btf/check.ts';
export { BtfExt, type CoreRelocation } from './btf/ext.ts';
export { type SourceLine, SourceLines } from './btf/ext-lines.ts';
export { InfoRecords } from './btf/ext-records.ts';
export { resolveType, sizeOfType, skipModifiers } from './btf/layout.ts';
export { spellType } from './btf/spell.ts';
export type {
  BtfArray,
  BtfComposite,
  BtfDeclarationTag,
  BtfEnum,
  BtfEnum64,
  BtfFloat,
  BtfForward,
  BtfFunction,
  BtfInt,
  BtfKindName,
  BtfLinkage,
  BtfMember,
  BtfPrototype,
  BtfSection,
  BtfType,
  BtfVariable,
  BtfVoid,
  BtfWrapper,
} from './btf/types.ts';
export { applyCore, POISON_HELPER } from './core/apply.ts';
export {
  type CoreAccess,
  type CoreCandidate,
  CoreResolver,
  type CoreResult,
  type CoreTarget,
} from './core/resolve.ts';
export type { DataSection, DataVariable } from './data.ts';
export type { ByteOrder, ElfFile, ElfRelocation, ElfSection, ElfSymbols } from './elf.ts';
export {
  type InspectedData,
  type InspectedMap,
  type InspectedProgram,
  type InspectedVariable,
  type Inspection,
  inspect,
} from './inspection.ts';
export {
  type DisassembledInstruction,
  disassemble,
  disassembleInstruction,
  type NameOperand,
} from './instructions/disassemble.ts';
export { type Instruction, Instructions } from './instructions/instructions.ts';
export { type ListedInstruction, listProgram } from './instructions/listing.ts';
export { type Operation, type OperationName, operationOf } from './instructions/operation.ts';
export { type LinkedFunction, type LinkedProgram, linkProgram } from './link.ts';
export type { MapDefinition, MapSlot } from './map-definition.ts';
export { ObjectFile, type ParseOptions } from './object.ts';
export type { ProgramDefinition } from './programs.ts';
export type { LinkedRelocation, RelocationTarget } from './relocations.ts';
export type { Extern } from './relocations-externs.ts';
