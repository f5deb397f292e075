/*
 * How a subject measures itself, in C: the protocol of bench/measure.mjs, which says what the
 * arguments and the printed fields mean. A subject calls measure() and print_measurement(), and
 * prints its facts in between.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/libbpf.h>

/* How warming up ends; see bench/measure.mjs. */
#define WARM_UP_WINDOWS 5
#define FASTER 0.98
#define MAX_WINDOWS 40

struct plan {
	long samples;
	double sample_ms;
	double warm_up_ms;
};

struct measurement {
	double first_ns;
	long iterations;
	long count;
	double *samples_ns;
};

/* Where operations put what they computed, so that the compiler keeps all of it. */
static volatile long sink;

/* Runs before each sample, outside of the measured part. */
static void (*between)(void);

static void fail(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* Time within an operation that is not to count. */
static double excluded_ns;

static double time_ns(long (*operation)(void), long iterations)
{
	double excluded = excluded_ns;
	double start = now_ns();

	for (long done = 0; done < iterations; done++)
		sink += operation();
	return now_ns() - start - (excluded_ns - excluded);
}

static struct plan read_plan(int argc, char **argv)
{
	if (argc < 4)
		fail("reading SAMPLES SAMPLE_MS WARM_UP_MS");
	return (struct plan){ atol(argv[1]), atof(argv[2]), atof(argv[3]) };
}

static double mean_of_window(long (*operation)(void), double window_ns)
{
	double total = 0;
	long count = 0;

	while (total < window_ns) {
		if (between)
			between();
		total += time_ns(operation, 1);
		count++;
	}
	return count ? total / count : 0;
}

/* Lets other subjects measure until it is this one's turn; see bench/measure.mjs. */
static void await_turn(void)
{
	char byte;

	if (!getenv("SKEP_BENCH_TURNS"))
		return;
	printf("ready\n");
	fflush(stdout);
	if (read(0, &byte, 1) != 1)
		fail("waiting for a turn");
}

static struct measurement measure(long (*operation)(void), struct plan plan)
{
	struct measurement out = { .count = plan.samples };
	double fastest = 1e300;

	if (between)
		between();
	out.first_ns = time_ns(operation, 1);
	for (int window = 0, idle = 0; idle < WARM_UP_WINDOWS && window < MAX_WINDOWS; window++) {
		double mean = mean_of_window(operation, plan.warm_up_ms * 1e6 / WARM_UP_WINDOWS);

		idle = mean < fastest * FASTER ? 0 : idle + 1;
		if (mean < fastest)
			fastest = mean;
	}
	out.iterations = (long)(plan.sample_ms * 1e6 / (fastest < 1 ? 1 : fastest) + 0.5);
	if (out.iterations < 1)
		out.iterations = 1;
	out.samples_ns = calloc(plan.samples + 1, sizeof(double));
	if (!out.samples_ns)
		fail("allocating");
	for (long sample = 0; sample < plan.samples; sample++) {
		await_turn();
		if (between)
			between();
		out.samples_ns[sample] = time_ns(operation, out.iterations) / out.iterations;
	}
	return out;
}

/* The same per item, where one operation is many of what is to be compared. */
static struct measurement per_item(struct measurement measurement, long items)
{
	measurement.first_ns /= items;
	measurement.iterations *= items;
	for (long sample = 0; sample < measurement.count; sample++)
		measurement.samples_ns[sample] /= items;
	return measurement;
}

/* Everything but the facts, which the caller has printed as `"facts": {...}` after a '{'. */
static void print_measurement(struct measurement measurement)
{
	printf(", \"firstNs\": %.1f, \"iterations\": %ld, \"samplesNs\": [",
	       measurement.first_ns, measurement.iterations);
	for (long sample = 0; sample < measurement.count; sample++)
		printf("%s%.3f", sample ? ", " : "", measurement.samples_ns[sample]);
	printf("] }\n");
}

static void *read_whole(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *bytes;

	if (!file || fseek(file, 0, SEEK_END))
		fail(path);
	*size = ftell(file);
	rewind(file);
	bytes = malloc(*size + 1);
	if (!bytes || fread(bytes, 1, *size, file) != *size)
		fail(path);
	bytes[*size] = 0;
	fclose(file);
	return bytes;
}

/* libbpf tells more than it is asked; formatting it would be measured too. */
static int silence(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

#endif
