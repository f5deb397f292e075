/*
 * What maps hold in the benchmarks: bench/entries.mjs in C.
 */
#ifndef ENTRIES_H
#define ENTRIES_H

#include <linux/types.h>

#define ENTRIES 100000
#define KEYS 65536

static __u32 random_keys[KEYS];

static void make_random_keys(void)
{
	__u32 state = 1;

	for (long index = 0; index < KEYS; index++) {
		state = state * 1664525u + 1013904223u;
		random_keys[index] = (state >> 8) % ENTRIES;
	}
}

static __u64 value_for(__u32 key)
{
	return key * 3ull + 7;
}

#endif
