/*
 * Opens, loads and closes an object: bpf_object__open_mem, bpf_object__load, bpf_object__close.
 *
 * usage: load SAMPLES SAMPLE_MS WARM_UP_MS OBJECT MAP
 *
 * MAP is an array of maps whose filled slots are counted.
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

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;

	if (argc != 6)
		fail("reading OBJECT MAP");
	libbpf_set_print(silence);
	bytes = read_whole(argv[4], &size);
	measurement = measure(load_and_close, plan);
	printf("{ \"facts\": { \"version\": \"%s\", \"slots\": %ld }", libbpf_version_string(),
	       filled_slots(argv[5]));
	print_measurement(measurement);
	return 0;
}
