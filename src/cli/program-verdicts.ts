/**
 * What programs mean by the number that they return, for the types of program that are run on packets.
 *
 * Names: `enum xdp_action` and `enum sk_action` of include/uapi/linux/bpf.h, `TC_ACT_*` of
 * include/uapi/linux/pkt_cls.h.
 */

const XDP: readonly string[] = ['XDP_ABORTED', 'XDP_DROP', 'XDP_PASS', 'XDP_TX', 'XDP_REDIRECT'];

/** From -1 on. */
const TC: readonly string[] = [
  'TC_ACT_UNSPEC',
  'TC_ACT_OK',
  'TC_ACT_RECLASSIFY',
  'TC_ACT_SHOT',
  'TC_ACT_PIPE',
  'TC_ACT_STOLEN',
  'TC_ACT_QUEUED',
  'TC_ACT_REPEAT',
  'TC_ACT_REDIRECT',
  'TC_ACT_TRAP',
];
const SK: readonly string[] = ['SK_DROP', 'SK_PASS'];

/**
 * A return value in words.
 *
 * @param typeName the type of program, as bpftool prints it
 * @param value 32 bits without sign
 *
 * @example
 * describeReturn('xdp', 2); // '2 (XDP_PASS)'
 */
export function describeReturn(typeName: string, value: number): string {
  const signed = value | 0;
  const name = nameOfReturn(typeName, signed);
  return name === undefined ? `${signed}` : `${signed} (${name})`;
}

function nameOfReturn(typeName: string, signed: number): string | undefined {
  switch (typeName) {
    case 'xdp':
      return XDP[signed];
    case 'sched_cls':
    case 'sched_act':
      return TC[signed + 1];
    case 'sk_skb':
    case 'sk_msg':
    case 'sk_lookup':
    case 'sk_reuseport':
      return SK[signed];
    default:
      return undefined;
  }
}
