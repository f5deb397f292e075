/*
 * Opens, loads and closes an object with programs: bpf_object__open_mem, bpf_object__load,
 * bpf_object__close.
 *
 * usage: programs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT whole|outside
 *
 * `outside` leaves the time out that is spent in bpf(2), most of which is the verifier's.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include "measure.h"

static void *bytes;
static size_t size;
static bool outside;

static long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "no system calls for this processor"
#endif
}

/* libbpf makes its calls by this function of the C library, which is replaced here to time them. */
long syscall(long number, ...)
{
	double start = outside && number == SYS_bpf ? now_ns() : 0;
	va_list arguments;
	long values[6];
	long result;

	va_start(arguments, number);
	for (int index = 0; index < 6; index++)
		values[index] = va_arg(arguments, long);
	va_end(arguments);
	result = raw_syscall(number, values[0], values[1], values[2], values[3], values[4],
			     values[5]);
	if (start)
		excluded_ns += now_ns() - start;
	if (result < 0 && result >= -4095) {
		errno = -result;
		return -1;
	}
	return result;
}

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

int main(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct measurement measurement;
	struct bpf_object *object;
	struct bpf_program *program;
	long loaded = 0;

	if (argc != 6)
		fail("reading OBJECT whole|outside");
	outside = !strcmp(argv[5], "outside");
	libbpf_set_print(silence);
	bytes = read_whole(argv[4], &size);
	measurement = measure(load_and_close, plan);
	object = load_object();
	bpf_object__for_each_program(program, object)
		loaded += bpf_program__fd(program) >= 0;
	bpf_object__close(object);
	printf("{ \"facts\": { \"version\": \"%s\", \"programs\": %ld }", libbpf_version_string(),
	       loaded);
	print_measurement(measurement);
	return 0;
}
