/** What may be written where a type was read, as far as the type alone tells. */

/**
 * What codecs of values of type `V` take: numbers for 64 bits, arrays of bytes, bytes for text; the
 * same in members and elements. Handles take it by default; handles that are made with codecs take
 * what those take.
 */
// `NoInfer`: a function of a `HashMap<K, V>` is to infer `V` from what is read alone.
export type Input<V> = unknown extends V
  ? NoInfer<V>
  : V extends bigint
    ? bigint extends V
      ? bigint | number
      : NoInfer<V>
    : V extends string
      ? string extends V
        ? string | Uint8Array
        : NoInfer<V>
      : V extends Uint8Array
        ? Uint8Array | readonly number[]
        : V extends readonly (infer E)[]
          ? readonly Input<E>[]
          : V extends (...args: never) => unknown
            ? NoInfer<V>
            : V extends object
              ? { readonly [K in keyof V]: Input<V[K]> }
              : NoInfer<V>;
