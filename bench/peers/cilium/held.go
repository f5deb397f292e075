// The memory that Go's heap holds, in bytes: of an open object, or of the kernel's BTF.
//
// usage: cilium held SAMPLES SAMPLE_MS WARM_UP_MS object OBJECT COUNT
//        cilium held SAMPLES SAMPLE_MS WARM_UP_MS kernel-btf NAMES
//
// Nothing is timed. Of an object, COUNT are opened, and the heap is divided by that.

package main

import (
	"runtime"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func heapBytes() int64 {
	var stats runtime.MemStats
	// More than once, since what has a cleanup is freed by the collection after it.
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func measureHeld(_ plan, args []string) {
	none := measurement{SamplesNs: []float64{}}
	if len(args) == 2 && args[0] == "kernel-btf" {
		none.print(heldByKernelBtf(readNames(args[1])))
		return
	}
	need(args, "object OBJECT COUNT", 3)
	count, err := strconv.Atoi(args[2])
	check("reading COUNT", err)
	none.print(heldByObjects(readWhole(args[1]), count))
}

func heldByObjects(object []byte, count int) map[string]any {
	openObject(object)
	objects := make([]*ebpf.CollectionSpec, count)
	before := heapBytes()
	for index := range objects {
		objects[index] = openObject(object)
	}
	held := heapBytes() - before
	facts := openFacts(objects[0])
	facts["heapBytes"] = held / int64(count)
	return facts
}

func heldByKernelBtf(names []wantedName) map[string]any {
	findAll(loadKernelSpec(), names)
	var spec *btf.Spec
	before := heapBytes()
	spec = loadKernelSpec()
	opened := heapBytes()
	findAll(spec, names[:1])
	one := heapBytes()
	ids := findAll(spec, names)
	found := heapBytes()
	return map[string]any{
		"openedHeapBytes": opened - before, "oneHeapBytes": one - before,
		"foundHeapBytes": found - before, "ids": ids, "types": countTypes(spec),
	}
}
