// Opens an object: ebpf.LoadCollectionSpecFromReader.
//
// usage: cilium open SAMPLES SAMPLE_MS WARM_UP_MS OBJECT

package main

import (
	"bytes"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func openObject(object []byte) *ebpf.CollectionSpec {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	check("LoadCollectionSpecFromReader", err)
	return spec
}

// The length of a program in the kernel's terms: without the functions that it calls, which the library
// has put behind it, and with 64-bit loads as two.
func lengthOf(instructions asm.Instructions) int {
	length := 0
	for index, instruction := range instructions {
		if index > 0 && instruction.Symbol() != "" {
			break
		}
		length++
		if instruction.OpCode.IsDWordLoad() {
			length++
		}
	}
	return length
}

func openFacts(spec *ebpf.CollectionSpec) map[string]any {
	instructions, valueBytes := 0, 0
	for _, program := range spec.Programs {
		instructions += lengthOf(program.Instructions)
	}
	for _, m := range spec.Maps {
		valueBytes += int(m.ValueSize)
	}
	return map[string]any{
		"maps":         len(spec.Maps),
		"programs":     len(spec.Programs),
		"instructions": instructions,
		"valueBytes":   valueBytes,
	}
}

func measureOpen(plan plan, args []string) {
	need(args, "OBJECT", 1)
	object := readWhole(args[0])
	measurement := measure(func() int64 {
		spec := openObject(object)
		return int64(len(spec.Maps) + len(spec.Programs))
	}, plan)
	measurement.print(openFacts(openObject(object)))
}
