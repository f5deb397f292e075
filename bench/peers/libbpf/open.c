/*
 * Opens and closes an object: bpf_object__open_mem, bpf_object__close.
 *
 * usage: open SAMPLES SAMPLE_MS WARM_UP_MS OBJECT
 */
#include <errno.h>
#include "measure.h"

static void *bytes;
static size_t size;

static struct bpf_object *open_object(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "bench");
	struct bpf_object *object = bpf_object__open_mem(bytes, size, &options);

	if (!object) {
		fprintf(stderr, "errno %d; ", errno);
		fail("bpf_object__open_mem");
	}
	return object;
}

static long open_and_close(void)
{
	struct bpf_object *object = open_object();

	bpf_object__close(object);
	return object != NULL;
}

static void print_facts(void)
{
	struct bpf_object *object = open_object();
	struct bpf_program *program;
	struct bpf_map *map;
	long maps = 0, programs = 0, instructions = 0, value_bytes = 0;

	bpf_object__for_each_map(map, object) {
		maps++;
		value_bytes += bpf_map__value_size(map);
	}
	bpf_object__for_each_program(program, object) {
		programs++;
		instructions += bpf_program__insn_cnt(program);
	}
	printf("{ \"facts\": { \"version\": \"%s\", \"maps\": %ld, \"programs\": %ld, "
	       "\"instructions\": %ld, \"valueBytes\": %ld }",
	       libbpf_version_string(), maps, programs, instructions, value_bytes);
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;

	if (argc != 5)
		fail("reading OBJECT");
	libbpf_set_print(silence);
	bytes = read_whole(argv[4], &size);
	measurement = measure(open_and_close, plan);
	print_facts();
	print_measurement(measurement);
	return 0;
}
