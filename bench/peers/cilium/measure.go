// How a subject measures itself, in Go: the protocol of bench/measure.mjs, which says what the
// arguments and the printed fields mean.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// How warming up ends; see bench/measure.mjs.
const (
	warmUpWindows = 5
	faster        = 0.98
	maxWindows    = 40
)

type plan struct {
	samples  int
	sampleMs float64
	warmUpMs float64
}

type measurement struct {
	FirstNs    float64        `json:"firstNs"`
	Iterations int            `json:"iterations"`
	SamplesNs  []float64      `json:"samplesNs"`
	Facts      map[string]any `json:"facts"`
}

// What operations computed, so that the compiler keeps all of it.
var sink int64

// What runs before each sample, outside of the measured part.
var between = func() {}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s failed: %v\n", what, err)
	os.Exit(1)
}

func check(what string, err error) {
	if err != nil {
		fail(what, err)
	}
}

func readPlan(args []string) (plan, []string) {
	if len(args) < 3 {
		fail("reading SAMPLES SAMPLE_MS WARM_UP_MS", nil)
	}
	samples, err := strconv.Atoi(args[0])
	check("reading SAMPLES", err)
	sampleMs, err := strconv.ParseFloat(args[1], 64)
	check("reading SAMPLE_MS", err)
	warmUpMs, err := strconv.ParseFloat(args[2], 64)
	check("reading WARM_UP_MS", err)
	return plan{samples, sampleMs, warmUpMs}, args[3:]
}

func timeNs(operation func() int64, iterations int) float64 {
	start := time.Now()
	for done := 0; done < iterations; done++ {
		sink += operation()
	}
	return float64(time.Since(start).Nanoseconds())
}

func meanOfWindow(operation func() int64, windowNs float64) float64 {
	total, count := 0.0, 0
	for total < windowNs {
		between()
		total += timeNs(operation, 1)
		count++
	}
	if count == 0 {
		return 0
	}
	return total / float64(count)
}

// Lets other subjects measure until it is this one's turn; see bench/measure.mjs.
func awaitTurn() {
	if _, inTurns := os.LookupEnv("SKEP_BENCH_TURNS"); !inTurns {
		return
	}
	fmt.Println("ready")
	_, err := os.Stdin.Read(make([]byte, 1))
	check("waiting for a turn", err)
}

func measure(operation func() int64, plan plan) measurement {
	between()
	out := measurement{FirstNs: timeNs(operation, 1), SamplesNs: []float64{}}
	fastest := 1e300
	for window, idle := 0, 0; idle < warmUpWindows && window < maxWindows; window++ {
		mean := meanOfWindow(operation, plan.warmUpMs*1e6/warmUpWindows)
		idle++
		if mean < fastest*faster {
			idle = 0
		}
		fastest = min(fastest, mean)
	}
	out.Iterations = max(1, int(plan.sampleMs*1e6/max(fastest, 1)+0.5))
	for sample := 0; sample < plan.samples; sample++ {
		awaitTurn()
		between()
		out.SamplesNs = append(out.SamplesNs, timeNs(operation, out.Iterations)/float64(out.Iterations))
	}
	return out
}

// The same per item, where one operation is many of what is to be compared.
func (m measurement) per(items int) measurement {
	m.FirstNs /= float64(items)
	m.Iterations *= items
	for index := range m.SamplesNs {
		m.SamplesNs[index] /= float64(items)
	}
	return m
}

// Prints the measurement and the facts, which other subjects must find too.
func (m measurement) print(facts map[string]any) {
	m.Facts = facts
	check("printing", json.NewEncoder(os.Stdout).Encode(m))
}
