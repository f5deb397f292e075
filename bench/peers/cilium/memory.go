// Reading random entries of an array in memory (BPF_F_MMAPABLE): ebpf.Memory.ReadAt.
//
// usage: cilium memory SAMPLES SAMPLE_MS WARM_UP_MS VALUE_BYTES

package main

import (
	"encoding/binary"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func createMapped(valueBytes uint32) *ebpf.Memory {
	array, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench", Type: ebpf.Array, KeySize: 4, ValueSize: valueBytes, MaxEntries: entries,
		Flags: unix.BPF_F_MMAPABLE,
	})
	check("NewMap", err)
	for key := uint32(0); key < entries; key++ {
		value := binary.NativeEndian.AppendUint64(nil, valueFor(key))[:valueBytes]
		check("Update", array.Update(key, value, ebpf.UpdateAny))
	}
	memory, err := array.Memory()
	check("Memory", err)
	return memory
}

// A function for each width: a load of 8 bytes just after a store of 4 would wait for that store, and
// a choice within the loop would cost something, too. Entries begin at multiples of 8 bytes. These are no
// closures made by a function, since Go inlines nothing into closures of a function that it inlines itself.

func readAll32(memory *ebpf.Memory, keys []uint32, value []byte) int64 {
	sum := int64(0)
	for _, key := range keys {
		_, err := memory.ReadAt(value, 8*int64(key))
		check("ReadAt", err)
		sum += int64(binary.NativeEndian.Uint32(value))
	}
	return sum
}

func readAll64(memory *ebpf.Memory, keys []uint32, value []byte) int64 {
	sum := int64(0)
	for _, key := range keys {
		_, err := memory.ReadAt(value, 8*int64(key))
		check("ReadAt", err)
		sum += int64(binary.NativeEndian.Uint64(value))
	}
	return sum
}

func measureMemory(plan plan, args []string) {
	need(args, "VALUE_BYTES", 1)
	size, err := strconv.Atoi(args[0])
	check("reading VALUE_BYTES", err)
	memory, keys := createMapped(uint32(size)), makeRandomKeys()
	value := make([]byte, size)
	readAll := func() int64 { return readAll64(memory, keys, value) }
	if size == 4 {
		readAll = func() int64 { return readAll32(memory, keys, value) }
	}
	measurement := measure(readAll, plan).per(keyCount)
	measurement.print(map[string]any{"sum": readAll()})
}
