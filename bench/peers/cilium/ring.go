// Reading what waits in a ring buffer of 16 MiB: ringbuf.Reader, records of 64 bytes.
//
// usage: cilium ring SAMPLES SAMPLE_MS WARM_UP_MS OBJECT RECORDS read-into|read
//
// OBJECT is fixtures/run/ring.bpf.o, whose program fills the ring between the samples. `read-into` reuses
// one record, `read` gets a new one each time.

package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

const (
	ringBytes = 16 << 20
	noWakeup  = 1
)

// What the program takes; see fixtures/run/ring.bpf.c.
type ringRequest struct {
	Count        uint32
	Tag          uint32
	Flags        uint64
	First        uint64
	DiscardEvery uint64
}

func loadRing(object []byte) (*ebpf.Collection, *ringbuf.Reader) {
	spec := openObject(object)
	events := spec.Maps["events"]
	events.MaxEntries = ringBytes
	// The object declares what a record is; the kernel refuses that.
	events.ValueSize, events.Value = 0, nil
	collection, err := ebpf.NewCollection(spec)
	check("NewCollection", err)
	reader, err := ringbuf.NewReader(collection.Maps["events"])
	check("ringbuf.NewReader", err)
	// Records come without wake-ups. A time that is over has the reader look, and not wait.
	reader.SetDeadline(time.Unix(1, 0))
	return collection, reader
}

func measureRing(plan plan, args []string) {
	need(args, "OBJECT RECORDS read-into|read", 3)
	records, err := strconv.Atoi(args[1])
	check("reading RECORDS", err)
	collection, reader := loadRing(readWhole(args[0]))
	program := collection.Programs["produce"]
	between = func() {
		sent, err := program.Run(&ebpf.RunOptions{
			Context: ringRequest{Count: uint32(records), Flags: noWakeup},
		})
		check("Program.Run", err)
		if int(sent) != records {
			fail("producing", fmt.Errorf("%d records", sent))
		}
	}
	operation := consumeInto(reader, records)
	if args[2] == "read" {
		operation = consumeFresh(reader, records)
	}
	measurement := measure(operation, plan).per(records)
	between()
	measurement.print(map[string]any{"sum": operation()})
}

func consumeInto(reader *ringbuf.Reader, records int) func() int64 {
	var record ringbuf.Record
	return func() int64 {
		sum := int64(0)
		for done := 0; done < records; done++ {
			check("ReadInto", reader.ReadInto(&record))
			sum += int64(binary.NativeEndian.Uint32(record.RawSample))
		}
		return sum
	}
}

func consumeFresh(reader *ringbuf.Reader, records int) func() int64 {
	return func() int64 {
		sum := int64(0)
		for done := 0; done < records; done++ {
			record, err := reader.Read()
			check("Read", err)
			sum += int64(binary.NativeEndian.Uint32(record.RawSample))
		}
		return sum
	}
}
