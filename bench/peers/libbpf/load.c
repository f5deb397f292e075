/*
 * Maps of maps: opening, loading and closing an object (bpf_object__open_mem, bpf_object__load,
 * bpf_object__close), and filling slots one by one.
 *
 * usage: load SAMPLES SAMPLE_MS WARM_UP_MS load|insert OBJECT MAP
 *
 * `load` counts the filled slots of MAP, an array of maps. `insert` creates an inner map, puts it into a
 * slot of MAP, reads the slot back, and asks the map that it finds there for a value.
 */
#include <errno.h>
#include <bpf/bpf.h>
#include "measure.h"

static void *bytes;
static size_t size;

static struct bpf_object *load_object(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "bench");
	struct bpf_object *object = bpf_object__open_mem(bytes, size, &options);

	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "errno %d; ", errno);
		fail("bpf_object__load");
	}
	return object;
}

static long load_and_close(void)
{
	struct bpf_object *object = load_object();

	bpf_object__close(object);
	return object != NULL;
}

static long filled_slots(const char *name)
{
	struct bpf_object *object = load_object();
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	long filled = 0;

	for (__u32 slot = 0; slot < bpf_map__max_entries(map); slot++) {
		__u32 id;

		filled += !bpf_map_lookup_elem(bpf_map__fd(map), &slot, &id);
	}
	bpf_object__close(object);
	return filled;
}

#define INSERT_VALUE 7

static int outer;
static __u32 slots, next_slot;

static long insert(void)
{
	int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 8, 1, NULL);
	__u64 value = INSERT_VALUE, read_back = 0;
	__u32 zero = 0, id;
	int found;

	if (inner < 0 || bpf_map_update_elem(inner, &zero, &value, BPF_ANY) ||
	    bpf_map_update_elem(outer, &next_slot, &inner, BPF_ANY))
		fail("filling a slot");
	close(inner);
	if (bpf_map_lookup_elem(outer, &next_slot, &id))
		fail("reading a slot");
	found = bpf_map_get_fd_by_id(id);
	if (found < 0 || bpf_map_lookup_elem(found, &zero, &read_back))
		fail("reading an inner map");
	close(found);
	next_slot = (next_slot + 1) % slots;
	return read_back;
}

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;
	struct bpf_object *object;
	struct bpf_map *map;

	if (argc != 7)
		fail("reading load|insert OBJECT MAP");
	libbpf_set_print(silence);
	bytes = read_whole(argv[5], &size);
	if (!strcmp(argv[4], "load")) {
		measurement = measure(load_and_close, plan);
		printf("{ \"facts\": { \"version\": \"%s\", \"slots\": %ld }",
		       libbpf_version_string(), filled_slots(argv[6]));
	} else {
		object = load_object();
		map = bpf_object__find_map_by_name(object, argv[6]);
		outer = bpf_map__fd(map);
		slots = bpf_map__max_entries(map);
		measurement = measure(insert, plan);
		printf("{ \"facts\": { \"version\": \"%s\", \"value\": %ld }",
		       libbpf_version_string(), insert());
		bpf_object__close(object);
	}
	print_measurement(measurement);
	return 0;
}
