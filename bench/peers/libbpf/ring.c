/*
 * Reading what waits in a ring buffer of 16 MiB: ring_buffer__consume of records of 64 bytes.
 *
 * usage: ring SAMPLES SAMPLE_MS WARM_UP_MS OBJECT RECORDS number|fields
 *
 * OBJECT is fixtures/run/ring.bpf.o, whose program fills the ring between the samples. `number` reads one
 * number of each record, `fields` the three fields that come before its payload.
 */
#include <linux/types.h>
#include <bpf/bpf.h>
#include "measure.h"

#define RING_BYTES (16 << 20)
#define NO_WAKEUP 1

struct request {
	__u32 count;
	__u32 tag;
	__u64 flags;
	__u64 first;
	__u64 discard_every;
};

/* A record without its payload; see fixtures/run/ring.bpf.c. */
struct event {
	__u64 number;
	__u32 tag;
	__u32 half;
};

static int program;
static __u32 records;
static struct ring_buffer *ring;
static long sum;

/* The record read last; volatile, so that the compiler keeps all of it. */
static volatile struct event last;

static int add(void *context, void *data, size_t size)
{
	sum += *(__u32 *)data;
	return 0;
}

static int add_fields(void *context, void *data, size_t size)
{
	const struct event *event = data;

	last.number = event->number;
	last.tag = event->tag;
	last.half = event->half;
	sum += event->number;
	return 0;
}

static long consume(void)
{
	sum = 0;
	if (ring_buffer__consume(ring) != records)
		fail("ring_buffer__consume");
	return sum;
}

static void produce(void)
{
	struct request request = { .count = records, .flags = NO_WAKEUP };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &request, .ctx_size_in = sizeof(request));

	if (bpf_prog_test_run_opts(program, &options) || options.retval != records)
		fail("bpf_prog_test_run_opts");
}

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;
	struct bpf_object *object;
	struct bpf_map *events;
	bool fields;

	if (argc != 7)
		fail("reading OBJECT RECORDS number|fields");
	fields = !strcmp(argv[6], "fields");
	if (!fields && strcmp(argv[6], "number"))
		fail("reading number|fields");
	libbpf_set_print(silence);
	records = atol(argv[5]);
	object = bpf_object__open(argv[4]);
	if (!object)
		fail("bpf_object__open");
	events = bpf_object__find_map_by_name(object, "events");
	/* The object declares what a record is; libbpf would pass that on, and the kernel refuses it. */
	if (bpf_map__set_max_entries(events, RING_BYTES) || bpf_map__set_value_size(events, 0) ||
	    bpf_object__load(object))
		fail("bpf_object__load");
	program = bpf_program__fd(bpf_object__find_program_by_name(object, "produce"));
	ring = ring_buffer__new(bpf_map__fd(events), fields ? add_fields : add, NULL, NULL);
	if (!ring)
		fail("ring_buffer__new");
	between = produce;
	measurement = per_item(measure(consume, plan), records);
	produce();
	printf("{ \"facts\": { \"version\": \"%s\", \"sum\": %ld }", libbpf_version_string(),
	       consume());
	print_measurement(measurement);
	return 0;
}
