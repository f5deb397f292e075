// Entries of a hash of 100,000: single look-ups and updates of random keys, walks over all, batches; and
// look-ups in a per-CPU array.
//
// usage: cilium map-ops SAMPLES SAMPLE_MS WARM_UP_MS OPERATION KIND
//
// OPERATION is lookup, update, iterate, batch, batch-update or per-cpu. KIND is `into` (slices of bytes, one
// for all values), `raw` (Map.LookupBytes), `u64` or `u32` (pointers to such values).

package main

import (
	"encoding/binary"
	"errors"

	"github.com/cilium/ebpf"
)

// Single operations for each call of the measured function; see bench/skep/map-ops.mjs.
const (
	chunk          = 64
	batchEntries   = 4_096
	perCpuEntries  = 1_024
	perCpuPerValue = 8
)

type number interface{ uint32 | uint64 }

func createHash(valueBytes uint32) *ebpf.Map {
	hash, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench", Type: ebpf.Hash, KeySize: 4, ValueSize: valueBytes, MaxEntries: entries,
	})
	check("NewMap", err)
	for key := uint32(0); key < entries; key++ {
		value := binary.NativeEndian.AppendUint64(nil, valueFor(key))[:valueBytes]
		check("Update", hash.Update(key, value, ebpf.UpdateAny))
	}
	return hash
}

// Calls back for the next few of the random keys.
func chunks(each func(key uint32) int64) func() int64 {
	keys, position := makeRandomKeys(), 0
	return func() int64 {
		sum := int64(0)
		for done := 0; done < chunk; done++ {
			sum += each(keys[position])
			position = (position + 1) % keyCount
		}
		return sum
	}
}

func byteOperation(hash *ebpf.Map, operation, kind string) func() int64 {
	keyBytes, valueBytes := make([]byte, 4), make([]byte, 8)
	switch {
	case operation == "update":
		return chunks(func(key uint32) int64 {
			binary.NativeEndian.PutUint32(keyBytes, key)
			binary.NativeEndian.PutUint64(valueBytes, valueFor(key))
			check("Update", hash.Update(keyBytes, valueBytes, ebpf.UpdateAny))
			return int64(key)
		})
	case kind == "raw":
		return chunks(func(key uint32) int64 {
			binary.NativeEndian.PutUint32(keyBytes, key)
			value, err := hash.LookupBytes(keyBytes)
			check("LookupBytes", err)
			return int64(value[0])
		})
	}
	return chunks(func(key uint32) int64 {
		binary.NativeEndian.PutUint32(keyBytes, key)
		check("Lookup", hash.Lookup(keyBytes, valueBytes))
		return int64(valueBytes[0])
	})
}

func typedOperation[V number](hash *ebpf.Map, operation string) func() int64 {
	// Pointers, which the library passes on to the kernel; values would be copied first.
	var key uint32
	var value V
	switch operation {
	case "lookup":
		return chunks(func(next uint32) int64 {
			key = next
			check("Lookup", hash.Lookup(&key, &value))
			return int64(value)
		})
	case "update":
		return chunks(func(next uint32) int64 {
			key, value = next, V(valueFor(next))
			check("Update", hash.Update(&key, &value, ebpf.UpdateAny))
			return int64(key)
		})
	case "batch":
		return func() int64 { return batchSum[V](hash) }
	case "batch-update":
		return batchUpdate[V](hash)
	}
	return func() int64 {
		sum, walk := int64(0), hash.Iterate()
		for walk.Next(&key, &value) {
			sum += int64(key) + int64(value)
		}
		check("Iterate", walk.Err())
		return sum
	}
}

func batchSum[V number](hash *ebpf.Map) int64 {
	keys, values := make([]uint32, batchEntries), make([]V, batchEntries)
	var cursor ebpf.MapBatchCursor
	sum := int64(0)
	for {
		count, err := hash.BatchLookup(&cursor, keys, values, nil)
		for index := range count {
			sum += int64(keys[index]) + int64(values[index])
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return sum
		}
		check("BatchLookup", err)
	}
}

// Updates the same entries again and again.
func batchUpdate[V number](hash *ebpf.Map) func() int64 {
	keys, values := make([]uint32, batchEntries), make([]V, batchEntries)
	for index := range keys {
		keys[index], values[index] = uint32(index), V(valueFor(uint32(index)))
	}
	return func() int64 {
		count, err := hash.BatchUpdate(keys, values, nil)
		check("BatchUpdate", err)
		return int64(count)
	}
}

// Look-ups of all CPUs' values, which are added up.
func perCpuLookup() func() int64 {
	array, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: perCpuPerValue, MaxEntries: perCpuEntries,
	})
	check("NewMap", err)
	values := make([]uint64, ebpf.MustPossibleCPU())
	for key := uint32(0); key < perCpuEntries; key++ {
		for cpu := range values {
			values[cpu] = valueFor(key)
		}
		check("Update", array.Update(key, values, ebpf.UpdateAny))
	}
	var index uint32
	return chunks(func(key uint32) int64 {
		index = key % perCpuEntries
		check("Lookup", array.Lookup(&index, values))
		sum := uint64(0)
		for _, value := range values {
			sum += value
		}
		return int64(sum)
	})
}

func measureMapOps(plan plan, args []string) {
	need(args, "OPERATION KIND", 2)
	operation, kind := args[0], args[1]
	if operation == "per-cpu" {
		lookup := perCpuLookup()
		first := lookup()
		measure(lookup, plan).per(chunk).print(map[string]any{"sum": first})
		return
	}
	items := map[string]int{"iterate": entries, "batch": entries, "batch-update": batchEntries}[operation]
	if items == 0 {
		items = chunk
	}
	var run func() int64
	var sum int64
	switch kind {
	case "u32":
		hash := createHash(4)
		run, sum = typedOperation[uint32](hash, operation), batchSum[uint32](hash)
	case "u64":
		hash := createHash(8)
		run, sum = typedOperation[uint64](hash, operation), batchSum[uint64](hash)
	default:
		hash := createHash(8)
		run, sum = byteOperation(hash, operation, kind), batchSum[uint64](hash)
	}
	measure(run, plan).per(items).print(map[string]any{"sum": sum})
}
