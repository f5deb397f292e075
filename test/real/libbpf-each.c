/*
 * Loads objects with libbpf into the running kernel: each whole, and then each of its programs by
 * itself. Prints one line of JSON per object. Nothing is pinned and nothing is attached.
 *
 * usage: libbpf-each MAX_MEGABYTES < list of objects, a path per line
 *
 *   file         the path
 *   skipped      why it was not loaded (a map too large for a test), else absent
 *   open         0, or the errno of opening
 *   shrunk       by name: numbers of entries of maps that were given fewer than they declare
 *   load         0, or the errno of loading the whole object as it is declared
 *   log          the first of libbpf's warnings about it
 *   made         numbers of maps and programs, if it was loaded
 *   programs     by name: error, 0 or the errno of loading it with no other program; tag, the hash
 *                that the kernel makes of its instructions
 *
 * Alone, a program is loaded without the object's structs of functions (struct_ops), and functions
 * of these structs are not tried alone: libbpf decides by the structs which of them to load.
 * Each object has a process of its own, so that a crash is the result of one object.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../../fixtures/oracle/json.h"

static unsigned long long max_bytes;

/* Memory that a map would take at once, roughly; of ring buffers and arenas the size is max_entries. */
static unsigned long long map_bytes(const struct bpf_map *map)
{
	unsigned long long size = bpf_map__key_size(map) + bpf_map__value_size(map);
	unsigned long long entries = bpf_map__max_entries(map);

	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return entries * size * libbpf_num_possible_cpus();
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_USER_RINGBUF:
		return entries;
	case BPF_MAP_TYPE_ARENA:
		return 0; /* pages come when they are used */
	default:
		return entries * (size ? size : 1);
	}
}

static bool is_ring(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF ||
	       bpf_map__type(map) == BPF_MAP_TYPE_USER_RINGBUF;
}

static bool is_map_too_large(struct bpf_map *map)
{
	struct bpf_map *inner = bpf_map__inner_map(map);

	return map_bytes(map) > max_bytes || (inner && map_bytes(inner) > max_bytes);
}

static const char *too_large(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		if (is_map_too_large(map))
			return bpf_map__name(map);
	return NULL;
}

/* Opens an object, without pins and with smaller maps where the declared ones take too much memory. */
static struct bpf_object *open_small(const char *file)
{
	struct bpf_object *object = bpf_object__open_file(file, NULL);
	struct bpf_map *map;

	if (!object)
		return NULL;
	bpf_object__for_each_map(map, object) {
		bpf_map__set_pin_path(map, NULL);
		if (map_bytes(map) > max_bytes && bpf_map__max_entries(map) > 1)
			bpf_map__set_max_entries(map, is_ring(map) ? 1 << 20 : 64);
	}
	return object;
}

static void print_shrunk(const char *file, struct bpf_object *object)
{
	struct bpf_object *declared = bpf_object__open_file(file, NULL);
	const char *separator = "";
	struct bpf_map *map, *before = NULL;

	fputs(", \"shrunk\": {", stdout);
	bpf_object__for_each_map(map, object) {
		before = bpf_object__next_map(declared, before);
		if (bpf_map__max_entries(before) == bpf_map__max_entries(map))
			continue;
		fputs(separator, stdout);
		json_string(bpf_map__name(map));
		printf(": %u", bpf_map__max_entries(map));
		separator = ", ";
	}
	putchar('}');
	bpf_object__close(declared);
}

/* What the kernel says of a program that was loaded: the hash of its instructions. */
static void print_tag(const struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	fputs(", \"tag\": \"", stdout);
	if (!bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &size))
		for (int i = 0; i < BPF_TAG_SIZE; i++)
			printf("%02x", info.tag[i]);
	putchar('"');
}

/* Loads the maps and one program, and prints how that went. */
static void load_alone(const char *file, const char *name)
{
	struct bpf_object *object = open_small(file);
	struct bpf_program *program;
	struct bpf_map *map;
	int error;

	if (!object)
		return;
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	bpf_object__for_each_map(map, object)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, false);
	error = -bpf_object__load(object);
	json_string(name);
	printf(": {\"error\": %d", error);
	if (!error)
		print_tag(bpf_object__find_program_by_name(object, name));
	putchar('}');
	bpf_object__close(object);
}

/* What a load of the whole object made: numbers of maps and programs. */
static void print_made(struct bpf_object *object)
{
	struct bpf_program *program;
	int maps = 0, programs = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		maps += bpf_map__fd(map) >= 0 && bpf_map__autocreate(map);
	bpf_object__for_each_program(program, object)
		programs += bpf_program__fd(program) >= 0;
	printf(", \"made\": {\"maps\": %d, \"programs\": %d}", maps, programs);
}

static void print_programs(const char *file, struct bpf_object *object)
{
	const char *separator = "";
	struct bpf_program *program;

	fputs(", \"programs\": {", stdout);
	bpf_object__for_each_program(program, object) {
		if (bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS)
			continue;
		fputs(separator, stdout);
		load_alone(file, bpf_program__name(program));
		separator = ", ";
	}
	putchar('}');
}

static void run(const char *file)
{
	struct bpf_object *object = open_small(file);
	const char *large;
	int error;

	printf(", \"open\": %d", object ? 0 : errno);
	if (object && (large = too_large(object))) {
		fputs(", \"skipped\": ", stdout);
		json_string(large);
	} else if (object) {
		print_shrunk(file, object);
		error = -bpf_object__load(object);
		printf(", \"load\": %d, \"log\": ", error);
		json_string(log_count ? log_lines[0] : NULL);
		if (!error)
			print_made(object);
		print_programs(file, object);
	}
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: %s MAX_MEGABYTES < LIST\n", argv[0]);
		return 2;
	}
	max_bytes = strtoull(argv[1], NULL, 10) << 20;
	libbpf_set_print(keep_log);
	/* Lines come whole, or not at all. */
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = 0;
		fflush(stdout);
		if (fork() == 0) {
			fputs("{\"file\": ", stdout);
			json_string(line);
			run(line);
			puts("}");
			fflush(stdout);
			_exit(0);
		}
		wait(&status);
		if (!WIFEXITED(status)) {
			fputs("{\"file\": ", stdout);
			json_string(line);
			printf(", \"crashed\": %d}\n", WTERMSIG(status));
		}
	}
	free(line);
	return 0;
}
