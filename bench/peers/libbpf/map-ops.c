/*
 * Entries of a hash of 100,000: single look-ups and updates of random keys, and walks over all.
 *
 * usage: map-ops SAMPLES SAMPLE_MS WARM_UP_MS lookup|update|next-key|batch VALUE_BYTES
 */
#include <errno.h>
#include <bpf/bpf.h>
#include "entries.h"
#include "measure.h"

/* Single operations for each call of the measured function. */
#define CHUNK 64
#define BATCH 4096

static int map;
static size_t value_bytes;
static __u64 batch_values[BATCH];
static __u32 batch_keys[BATCH];
static long position;

static long lookup(void)
{
	long sum = 0;

	for (long done = 0; done < CHUNK; done++) {
		__u64 value = 0;

		if (bpf_map_lookup_elem(map, &random_keys[position], &value))
			fail("bpf_map_lookup_elem");
		position = (position + 1) % KEYS;
		sum += value;
	}
	return sum;
}

static long update(void)
{
	for (long done = 0; done < CHUNK; done++) {
		__u32 key = random_keys[position];
		__u64 value = value_for(key);

		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			fail("bpf_map_update_elem");
		position = (position + 1) % KEYS;
	}
	return position;
}

static long next_key(void)
{
	__u32 key, *previous = NULL;
	long sum = 0;

	while (!bpf_map_get_next_key(map, previous, &key)) {
		__u64 value = 0;

		if (!bpf_map_lookup_elem(map, &key, &value))
			sum += key + value;
		previous = &key;
	}
	return sum;
}

static long batch(void)
{
	__u32 in, out, count;
	int first = 1, error;
	long sum = 0;

	do {
		count = BATCH;
		error = bpf_map_lookup_batch(map, first ? NULL : &in, &out, batch_keys,
					     batch_values, &count, NULL);
		if (error && errno != ENOENT)
			fail("bpf_map_lookup_batch");
		for (__u32 index = 0; index < count; index++)
			sum += batch_keys[index] + (value_bytes == 8 ? batch_values[index] :
				((__u32 *)batch_values)[index]);
		in = out;
		first = 0;
	} while (!error);
	return sum;
}

static void fill(void)
{
	for (__u32 key = 0; key < ENTRIES; key++) {
		__u64 value = value_for(key);

		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			fail("bpf_map_update_elem");
	}
}

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;
	long (*operation)(void) = NULL;
	long items = CHUNK;

	if (argc != 6)
		fail("reading OPERATION VALUE_BYTES");
	if (!strcmp(argv[4], "lookup"))
		operation = lookup;
	else if (!strcmp(argv[4], "update"))
		operation = update;
	else if (!strcmp(argv[4], "next-key"))
		operation = next_key, items = ENTRIES;
	else if (!strcmp(argv[4], "batch"))
		operation = batch, items = ENTRIES;
	else
		fail("reading OPERATION");
	value_bytes = atol(argv[5]);
	map = bpf_map_create(BPF_MAP_TYPE_HASH, "bench", 4, value_bytes, ENTRIES, NULL);
	if (map < 0)
		fail("bpf_map_create");
	make_random_keys();
	fill();
	measurement = per_item(measure(operation, plan), items);
	printf("{ \"facts\": { \"version\": \"%s\", \"sum\": %ld }", libbpf_version_string(),
	       next_key());
	print_measurement(measurement);
	return 0;
}
