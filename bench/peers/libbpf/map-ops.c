/*
 * Entries of a hash of 100,000: single look-ups and updates of random keys, walks over all, batches; and
 * look-ups in a per-CPU array.
 *
 * usage: map-ops SAMPLES SAMPLE_MS WARM_UP_MS lookup|update|next-key|batch|batch-update|per-cpu VALUE_BYTES
 */
#include <errno.h>
#include <bpf/bpf.h>
#include "entries.h"
#include "measure.h"

/* Single operations for each call of the measured function. */
#define CHUNK 64
#define BATCH 4096
#define PER_CPU_ENTRIES 1024

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

/* Updates the same entries again and again. */
static long batch_update(void)
{
	__u32 count = BATCH;

	if (bpf_map_update_batch(map, batch_keys, batch_values, &count, NULL))
		fail("bpf_map_update_batch");
	return count;
}

static void prepare_batch(void)
{
	for (__u32 key = 0; key < BATCH; key++) {
		batch_keys[key] = key;
		if (value_bytes == 8)
			batch_values[key] = value_for(key);
		else
			((__u32 *)batch_values)[key] = value_for(key);
	}
}

static int per_cpu_map, cpus;
static __u64 *per_cpu_values;

/* Look-ups of all CPUs' values, which are added up. */
static long per_cpu_lookup(void)
{
	long sum = 0;

	for (long done = 0; done < CHUNK; done++) {
		__u32 key = random_keys[position] % PER_CPU_ENTRIES;

		if (bpf_map_lookup_elem(per_cpu_map, &key, per_cpu_values))
			fail("bpf_map_lookup_elem");
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += per_cpu_values[cpu];
		position = (position + 1) % KEYS;
	}
	return sum;
}

static void prepare_per_cpu(void)
{
	cpus = libbpf_num_possible_cpus();
	per_cpu_values = calloc(cpus, sizeof(__u64));
	per_cpu_map = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "bench", 4, 8, PER_CPU_ENTRIES, NULL);
	if (per_cpu_map < 0 || !per_cpu_values)
		fail("bpf_map_create");
	for (__u32 key = 0; key < PER_CPU_ENTRIES; key++) {
		for (int cpu = 0; cpu < cpus; cpu++)
			per_cpu_values[cpu] = value_for(key);
		if (bpf_map_update_elem(per_cpu_map, &key, per_cpu_values, BPF_ANY))
			fail("bpf_map_update_elem");
	}
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
	long items = CHUNK, sum;

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
	else if (!strcmp(argv[4], "batch-update"))
		operation = batch_update, items = BATCH;
	else if (!strcmp(argv[4], "per-cpu"))
		operation = per_cpu_lookup;
	else
		fail("reading OPERATION");
	value_bytes = atol(argv[5]);
	map = bpf_map_create(BPF_MAP_TYPE_HASH, "bench", 4, value_bytes, ENTRIES, NULL);
	if (map < 0)
		fail("bpf_map_create");
	make_random_keys();
	fill();
	prepare_batch();
	prepare_per_cpu();
	sum = operation == per_cpu_lookup ? per_cpu_lookup() : next_key();
	measurement = per_item(measure(operation, plan), items);
	printf("{ \"facts\": { \"version\": \"%s\", \"sum\": %ld }", libbpf_version_string(),
	       sum);
	print_measurement(measurement);
	return 0;
}
