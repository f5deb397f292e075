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

func measureMemory(plan plan, args []string) {
	need(args, "VALUE_BYTES", 1)
	size, err := strconv.Atoi(args[0])
	check("reading VALUE_BYTES", err)
	memory, keys := createMapped(uint32(size)), makeRandomKeys()
	value := make([]byte, 8)
	readAll := func() int64 {
		sum := int64(0)
		for _, key := range keys {
			// Entries begin at multiples of 8 bytes.
			_, err := memory.ReadAt(value[:size], 8*int64(key))
			check("ReadAt", err)
			sum += int64(binary.NativeEndian.Uint64(value))
		}
		return sum
	}
	measurement := measure(readAll, plan).per(keyCount)
	measurement.print(map[string]any{"sum": readAll()})
}
