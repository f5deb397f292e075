// Reading what waits in a ring buffer of 16 MiB: ringbuf.Reader, records of 64 bytes.
//
// usage: cilium ring SAMPLES SAMPLE_MS WARM_UP_MS OBJECT RECORDS read-into|fields|read
//
// OBJECT is fixtures/run/ring.bpf.o, whose program fills the ring between the samples. `read-into` reuses
// one record, `read` gets a new one each time; both read one number of it. `fields` reuses one record and
// decodes the three fields that come before its payload.

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

// A record without its payload; see fixtures/run/ring.bpf.c.
type ringEvent struct {
	Number uint64
	Tag    uint32
	Half   uint32
}

// The record decoded last, so that the compiler keeps all of it.
var lastEvent ringEvent

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
	need(args, "OBJECT RECORDS read-into|fields|read", 3)
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
	var record ringbuf.Record
	var operation func() int64
	switch args[2] {
	case "read-into":
		operation = func() int64 { return consumeInto(reader, &record, records) }
	case "fields":
		operation = func() int64 { return consumeFields(reader, &record, records) }
	case "read":
		operation = func() int64 { return consumeFresh(reader, records) }
	default:
		fail("reading read-into|fields|read", fmt.Errorf("%q", args[2]))
	}
	measurement := measure(operation, plan).per(records)
	between()
	measurement.print(map[string]any{"sum": operation()})
}

// No closures made by functions; see memory.go.

func consumeInto(reader *ringbuf.Reader, record *ringbuf.Record, records int) int64 {
	sum := int64(0)
	for done := 0; done < records; done++ {
		check("ReadInto", reader.ReadInto(record))
		sum += int64(binary.NativeEndian.Uint32(record.RawSample))
	}
	return sum
}

func consumeFields(reader *ringbuf.Reader, record *ringbuf.Record, records int) int64 {
	sum := int64(0)
	for done := 0; done < records; done++ {
		check("ReadInto", reader.ReadInto(record))
		sample := record.RawSample[:16]
		lastEvent = ringEvent{
			Number: binary.NativeEndian.Uint64(sample),
			Tag:    binary.NativeEndian.Uint32(sample[8:]),
			Half:   binary.NativeEndian.Uint32(sample[12:]),
		}
		sum += int64(lastEvent.Number)
	}
	return sum
}

func consumeFresh(reader *ringbuf.Reader, records int) int64 {
	sum := int64(0)
	for done := 0; done < records; done++ {
		record, err := reader.Read()
		check("Read", err)
		sum += int64(binary.NativeEndian.Uint32(record.RawSample))
	}
	return sum
}
