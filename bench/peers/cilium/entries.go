// What maps hold in the benchmarks: bench/entries.mjs in Go.

package main

const (
	entries  = 100_000
	keyCount = 65_536
)

func makeRandomKeys() []uint32 {
	keys := make([]uint32, keyCount)
	state := uint32(1)
	for index := range keys {
		state = state*1_664_525 + 1_013_904_223
		keys[index] = (state >> 8) % entries
	}
	return keys
}

func valueFor(key uint32) uint64 {
	return uint64(key)*3 + 7
}
