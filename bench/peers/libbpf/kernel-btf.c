/*
 * The kernel's own BTF: loading it, and looking names up in it.
 *
 * usage: kernel-btf SAMPLES SAMPLE_MS WARM_UP_MS open|find NAMES
 *
 * NAMES is a file with lines of a kind and a name. `open` loads and frees; `find` looks all names up
 * in between.
 */
#include <bpf/btf.h>
#include "measure.h"

#define MAX_NAMES 4096

static struct {
	__u32 kind;
	const char *name;
	int id;
} wanted[MAX_NAMES];
static int wanted_count;

static __u32 kind_number(const char *kind)
{
	static const struct {
		const char *name;
		__u32 number;
	} kinds[] = {
		{ "struct", BTF_KIND_STRUCT },
		{ "func", BTF_KIND_FUNC },
		{ "typedef", BTF_KIND_TYPEDEF },
		{ "enum", BTF_KIND_ENUM },
	};

	for (size_t index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++)
		if (!strcmp(kinds[index].name, kind))
			return kinds[index].number;
	fail("reading a kind");
	return 0;
}

static void read_names(const char *path)
{
	size_t size;
	char *text = read_whole(path, &size);

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *space = strchr(line, ' ');

		if (!space || wanted_count == MAX_NAMES)
			fail("reading a name");
		*space = 0;
		wanted[wanted_count].kind = kind_number(line);
		wanted[wanted_count].name = space + 1;
		wanted_count++;
	}
}

static struct btf *load(void)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		fail("btf__load_vmlinux_btf");
	return btf;
}

static long find_all(struct btf *btf)
{
	long sum = 0;

	for (int index = 0; index < wanted_count; index++) {
		wanted[index].id =
			btf__find_by_name_kind(btf, wanted[index].name, wanted[index].kind);
		sum += wanted[index].id;
	}
	return sum;
}

static long open_btf(void)
{
	struct btf *btf = load();
	long types = btf__type_cnt(btf);

	btf__free(btf);
	return types;
}

static long open_and_find(void)
{
	struct btf *btf = load();
	long sum = find_all(btf);

	btf__free(btf);
	return sum;
}

static void print_facts(void)
{
	struct btf *btf = load();

	find_all(btf);
	printf("{ \"facts\": { \"version\": \"%s\", \"types\": %u, \"ids\": [",
	       libbpf_version_string(), btf__type_cnt(btf));
	for (int index = 0; index < wanted_count; index++)
		printf("%s%d", index ? ", " : "", wanted[index].id);
	printf("] }");
	btf__free(btf);
}

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;

	if (argc != 6)
		fail("reading open|find NAMES");
	libbpf_set_print(silence);
	read_names(argv[5]);
	if (!strcmp(argv[4], "open"))
		measurement = measure(open_btf, plan);
	else if (!strcmp(argv[4], "find"))
		measurement = measure(open_and_find, plan);
	else
		fail("reading open|find");
	print_facts();
	print_measurement(measurement);
	return 0;
}
