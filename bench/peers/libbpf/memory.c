/*
 * Reading random entries of an array in memory (BPF_F_MMAPABLE).
 *
 * usage: memory SAMPLES SAMPLE_MS WARM_UP_MS VALUE_BYTES
 */
#include <sys/mman.h>
#include <bpf/bpf.h>
#include "entries.h"
#include "measure.h"

static volatile char *memory;
static size_t value_bytes;

static long read_all(void)
{
	long sum = 0;

	for (long index = 0; index < KEYS; index++) {
		/* Entries begin at multiples of 8 bytes. */
		volatile char *at = memory + 8ul * random_keys[index];

		sum += value_bytes == 8 ? *(volatile __u64 *)at : *(volatile __u32 *)at;
	}
	return sum;
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;
	int map;

	if (argc != 5)
		fail("reading VALUE_BYTES");
	value_bytes = atol(argv[4]);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench", 4, value_bytes, ENTRIES, &options);
	if (map < 0)
		fail("bpf_map_create");
	for (__u32 key = 0; key < ENTRIES; key++) {
		__u64 value = value_for(key);

		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			fail("bpf_map_update_elem");
	}
	memory = mmap(NULL, 8ul * ENTRIES, PROT_READ, MAP_SHARED, map, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	make_random_keys();
	measurement = per_item(measure(read_all, plan), KEYS);
	printf("{ \"facts\": { \"version\": \"%s\", \"sum\": %ld }", libbpf_version_string(),
	       read_all());
	print_measurement(measurement);
	return 0;
}
