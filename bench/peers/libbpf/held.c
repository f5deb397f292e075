/*
 * The heap that is in use while objects are open, or the kernel's BTF is.
 *
 * usage: held SAMPLES SAMPLE_MS WARM_UP_MS object OBJECT COUNT
 *        held SAMPLES SAMPLE_MS WARM_UP_MS kernel-btf NAMES
 *
 * Nothing is timed. Of an object, COUNT are open at once, and the heap is divided by that; what is
 * mapped or in the kernel (a memfd for each map) is not counted. NAMES is a file with lines of a kind
 * and a name.
 */
#include <malloc.h>
#include <bpf/btf.h>
#include "measure.h"

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static struct bpf_object *open_object(void *bytes, size_t size)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "bench");
	struct bpf_object *object = bpf_object__open_mem(bytes, size, &options);

	if (!object)
		fail("bpf_object__open_mem");
	return object;
}

static long count_maps(struct bpf_object *object)
{
	struct bpf_map *map;
	long maps = 0;

	bpf_object__for_each_map(map, object)
		maps++;
	return maps;
}

static long count_programs(struct bpf_object *object)
{
	struct bpf_program *program;
	long programs = 0;

	bpf_object__for_each_program(program, object)
		programs++;
	return programs;
}

static void hold_objects(const char *path, long count)
{
	size_t size, before, held;
	void *bytes = read_whole(path, &size);
	struct bpf_object **objects = calloc(count, sizeof(*objects));

	if (!objects)
		fail("allocating");
	/* What the first one allocates for good is none of what an object holds. */
	bpf_object__close(open_object(bytes, size));
	before = heap_bytes();
	for (long index = 0; index < count; index++)
		objects[index] = open_object(bytes, size);
	held = heap_bytes() - before;
	printf("{ \"facts\": { \"heapBytes\": %ld, \"maps\": %ld, \"programs\": %ld }",
	       (long)held / count, count_maps(objects[0]), count_programs(objects[0]));
	for (long index = 0; index < count; index++)
		bpf_object__close(objects[index]);
}

static __u32 kind_number(const char *kind)
{
	return !strcmp(kind, "struct") ? BTF_KIND_STRUCT :
	       !strcmp(kind, "func") ? BTF_KIND_FUNC :
	       !strcmp(kind, "typedef") ? BTF_KIND_TYPEDEF :
					  BTF_KIND_ENUM;
}

static void hold_kernel_btf(const char *path)
{
	size_t size, before, opened;
	char *text = read_whole(path, &size);
	long types, found = 0;
	struct btf *btf;

	btf__free(btf__load_vmlinux_btf());
	before = heap_bytes();
	btf = btf__load_vmlinux_btf();
	if (!btf)
		fail("btf__load_vmlinux_btf");
	opened = heap_bytes() - before;
	types = btf__type_cnt(btf);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *space = strchr(line, ' ');

		if (!space)
			fail("reading a name");
		*space = 0;
		found += btf__find_by_name_kind(btf, space + 1, kind_number(line)) > 0;
	}
	printf("{ \"facts\": { \"openedHeapBytes\": %zu, \"foundHeapBytes\": %zu, "
	       "\"types\": %ld, \"found\": %ld }",
	       opened, heap_bytes() - before, types, found);
	btf__free(btf);
}

int main(int argc, char **argv)
{
	struct measurement none = { 0 };

	read_plan(argc, argv);
	libbpf_set_print(silence);
	if (argc == 7 && !strcmp(argv[4], "object"))
		hold_objects(argv[5], atol(argv[6]));
	else if (argc == 6 && !strcmp(argv[4], "kernel-btf"))
		hold_kernel_btf(argv[5]);
	else
		fail("reading object OBJECT COUNT, or kernel-btf NAMES");
	print_measurement(none);
	return 0;
}
