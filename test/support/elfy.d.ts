/** What the tests use of elfy 1.0.0, which comes without types. */
declare module 'elfy' {
  interface Section {
    readonly name: string;
    readonly type: string | number;
    readonly off: number;
    readonly size: number;
    readonly link: number;
    readonly info: number;
    readonly entsize: number;
    readonly data: Buffer;
  }
  interface File {
    readonly endian: 'lsb' | 'msb';
    readonly machine: string | undefined;
    readonly body: { readonly sections: readonly Section[] };
  }
  const elfy: { parse(bytes: Buffer): File };
  // biome-ignore lint/style/noDefaultExport: that is how the package exports it
  export default elfy;
}
