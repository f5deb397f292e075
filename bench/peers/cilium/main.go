// The peer in Go: github.com/cilium/ebpf. One program for all suites, since they share the library.
//
// usage: cilium SUITE SAMPLES SAMPLE_MS WARM_UP_MS ARGUMENT...
//
// Each suite is in a file of its own, which says what its arguments are. Go collects garbage while it
// is measured, as in any program: that is part of what an operation costs.

package main

import (
	"os"
)

var suites = map[string]func(plan plan, args []string){
	"open":         measureOpen,
	"kernel-btf":   measureKernelBtf,
	"map-ops":      measureMapOps,
	"memory":       measureMemory,
	"maps-of-maps": measureMapsOfMaps,
	"programs":     measurePrograms,
	"ring":         measureRing,
	"held":         measureHeld,
}

func main() {
	if len(os.Args) < 2 {
		fail("reading SUITE", nil)
	}
	suite, known := suites[os.Args[1]]
	if !known {
		fail("reading SUITE "+os.Args[1], nil)
	}
	plan, args := readPlan(os.Args[2:])
	suite(plan, args)
}

// Ends the program unless there are as many arguments as names.
func need(args []string, names string, count int) {
	if len(args) != count {
		fail("reading "+names, nil)
	}
}

func readWhole(path string) []byte {
	bytes, err := os.ReadFile(path)
	check("reading "+path, err)
	return bytes
}
