// The kernel's own BTF: btf.LoadKernelSpec, and looking names up in it.
//
// usage: cilium kernel-btf SAMPLES SAMPLE_MS WARM_UP_MS open|find NAMES
//
// NAMES is a file with lines of a kind and a name. `open` loads; `find` looks all names up too. No cache
// of kernel types is used (btf.Cache is for several loads), and mappings are released when Go collects
// garbage.

package main

import (
	"errors"
	"strings"

	"github.com/cilium/ebpf/btf"
)

type wantedName struct{ kind, name string }

func readNames(path string) []wantedName {
	var names []wantedName
	for _, line := range strings.Fields(strings.ReplaceAll(string(readWhole(path)), " ", "\x00")) {
		kind, name, found := strings.Cut(line, "\x00")
		if !found {
			fail("reading a name", nil)
		}
		names = append(names, wantedName{kind, name})
	}
	return names
}

func loadKernelSpec() *btf.Spec {
	spec, err := btf.LoadKernelSpec()
	check("btf.LoadKernelSpec", err)
	return spec
}

func isOfKind(candidate btf.Type, kind string) bool {
	switch candidate.(type) {
	case *btf.Struct:
		return kind == "struct"
	case *btf.Func:
		return kind == "func"
	case *btf.Typedef:
		return kind == "typedef"
	case *btf.Enum:
		return kind == "enum"
	}
	return false
}

// The first type of that kind and name, as other libraries give it. TypeByName refuses names that
// are there twice.
func findID(spec *btf.Spec, wanted wantedName) btf.TypeID {
	candidates, err := spec.AnyTypesByName(wanted.name)
	check("AnyTypesByName "+wanted.name, err)
	first := btf.TypeID(0)
	for _, candidate := range candidates {
		if !isOfKind(candidate, wanted.kind) {
			continue
		}
		id, err := spec.TypeID(candidate)
		check("TypeID "+wanted.name, err)
		if first == 0 || id < first {
			first = id
		}
	}
	return first
}

func findAll(spec *btf.Spec, names []wantedName) []btf.TypeID {
	ids := make([]btf.TypeID, len(names))
	for index, wanted := range names {
		ids[index] = findID(spec, wanted)
	}
	return ids
}

// All types, void among them.
func countTypes(spec *btf.Spec) int {
	count := btf.TypeID(0)
	for {
		_, err := spec.TypeByID(count)
		if errors.Is(err, btf.ErrNotFound) {
			return int(count)
		}
		check("TypeByID", err)
		count++
	}
}

func measureKernelBtf(plan plan, args []string) {
	need(args, "open|find NAMES", 2)
	names := readNames(args[1])
	operation := func() int64 {
		if loadKernelSpec() == nil {
			return 0
		}
		return 1
	}
	if args[0] == "find" {
		operation = func() int64 {
			return int64(findAll(loadKernelSpec(), names)[0])
		}
	}
	measurement := measure(operation, plan)
	spec := loadKernelSpec()
	measurement.print(map[string]any{"types": countTypes(spec), "ids": findAll(spec, names)})
}
