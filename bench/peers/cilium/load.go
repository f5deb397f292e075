// Opens, loads and closes objects: ebpf.LoadCollectionSpecFromReader, ebpf.NewCollectionWithOptions,
// Close.
//
// usage: cilium programs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT
//        cilium maps-of-maps SAMPLES SAMPLE_MS WARM_UP_MS load OBJECT MAP
//        cilium maps-of-maps SAMPLES SAMPLE_MS WARM_UP_MS insert
//
// `load` counts the filled slots of MAP, an array of maps. `insert` creates an inner map, puts it into a
// slot, reads the slot back, and asks the map that it finds there for a value.
//
// The kernel's BTF is read by the first load that needs it and kept for those that follow.

package main

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

var shared = btf.NewCache()

func loadObject(object []byte) *ebpf.Collection {
	collection, err := ebpf.NewCollectionWithOptions(openObject(object), ebpf.CollectionOptions{Cache: shared})
	check("NewCollectionWithOptions", err)
	return collection
}

func measureLoad(plan plan, object []byte) measurement {
	return measure(func() int64 {
		collection := loadObject(object)
		collection.Close()
		return int64(len(collection.Programs))
	}, plan)
}

func measurePrograms(plan plan, args []string) {
	need(args, "OBJECT", 1)
	object := readWhole(args[0])
	measurement := measureLoad(plan, object)
	collection := loadObject(object)
	measurement.print(map[string]any{"programs": len(collection.Programs)})
	collection.Close()
}

func filledSlots(outer *ebpf.Map) int {
	filled := 0
	for slot := uint32(0); slot < outer.MaxEntries(); slot++ {
		var inner *ebpf.Map
		if outer.Lookup(slot, &inner) == nil {
			inner.Close()
			filled++
		}
	}
	return filled
}

func measureMapsOfMaps(plan plan, args []string) {
	if len(args) == 1 && args[0] == "insert" {
		measureInsert(plan)
		return
	}
	need(args, "load OBJECT MAP", 3)
	object := readWhole(args[1])
	measurement := measureLoad(plan, object)
	collection := loadObject(object)
	measurement.print(map[string]any{"slots": filledSlots(collection.Maps[args[2]])})
	collection.Close()
}

// Slots of the map that is filled, and the value in each inner map.
const (
	insertSlots = 64
	insertValue = 7
)

func measureInsert(plan plan) {
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Name: "inner"}
	outer, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "outer", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: insertSlots, InnerMap: inner,
	})
	check("NewMap", err)
	slot := uint32(0)
	insert := func() int64 {
		created, err := ebpf.NewMap(inner)
		check("NewMap", err)
		check("Update", created.Update(uint32(0), uint64(insertValue), ebpf.UpdateAny))
		check("Update", outer.Update(slot, created, ebpf.UpdateAny))
		created.Close()
		var found *ebpf.Map
		check("Lookup", outer.Lookup(slot, &found))
		var value uint64
		check("Lookup", found.Lookup(uint32(0), &value))
		found.Close()
		slot = (slot + 1) % insertSlots
		return int64(value)
	}
	measurement := measure(insert, plan)
	measurement.print(map[string]any{"value": insert()})
}
