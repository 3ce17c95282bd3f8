/* Reads, and where the library can writes, the body of one message with Debian's libslurmfull 22.05.
 *
 *   libslurm BODY TYPE CALLS      prints "read NS ALLOCATIONS" and "write NS ALLOCATIONS" a call
 *
 * The library's messages and buffers are opaque here: only the places of the few fields that are set
 * are known, and they are checked before anything is measured. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, VERSION = 0x2600, PLACE_DATA = 184, PLACE_TYPE = 200, PLACE_VERSION = 202 };

extern void slurm_init(const char *conf);
extern void slurm_msg_t_init(void *msg);
extern void *slurm_init_buf(uint32_t size);
extern void *slurm_create_buf(char *data, uint32_t size);
extern int unpack_msg(void *msg, void *buf);
extern int pack_msg(void *msg, void *buf);
extern int slurm_free_msg_data(uint16_t type, void *data);
extern void slurm_free_job_info_msg(void *data);

struct buf {
	uint32_t magic;
	char *head;
	uint32_t size;
	uint32_t processed;
};

static unsigned long allocations;
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *at, size_t size);
void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { allocations++; return __libc_calloc(count, size); }
void *realloc(void *at, size_t size) { allocations++; return __libc_realloc(at, size); }

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;
	return (x > y) - (x < y);
}

static uint64_t message[128];
static uint16_t type;

static void **data(void) { return (void **) ((char *) message + PLACE_DATA); }

static void prepare(void)
{
	uint16_t version = VERSION;
	slurm_msg_t_init(message);
	memcpy((char *) message + PLACE_TYPE, &type, sizeof(type));
	memcpy((char *) message + PLACE_VERSION, &version, sizeof(version));
}

/* The general function takes a list of jobs for one job. */
static void release(void)
{
	if (type == 2004)
		slurm_free_job_info_msg(*data());
	else
		slurm_free_msg_data(type, *data());
}

static int read_once(struct buf *buf)
{
	prepare();
	buf->processed = 0;
	return unpack_msg(message, buf);
}

static void report(const char *word, double *times, unsigned long made, long calls)
{
	qsort(times, ROUNDS, sizeof(*times), ascending);
	printf("%s %f %f\n", word, times[ROUNDS / 2], (double) made / (double) (ROUNDS * calls));
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	type = (uint16_t) atoi(argv[2]);
	long calls = atol(argv[3]);
	FILE *file = fopen(argv[1], "rb");
	if (!file)
		return 3;
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	rewind(file);
	slurm_init(NULL);
	struct buf *in = slurm_init_buf((uint32_t) size);
	if (in->size < size || fread(in->head, 1, (size_t) size, file) != (size_t) size)
		return 4;
	in->size = (uint32_t) size;
	if (read_once(in) || in->processed != size || !*data())
		return 5;
	release();

	double times[ROUNDS];
	unsigned long before = allocations;
	for (int round = 0; round < ROUNDS; round++) {
		double start = now();
		for (long i = 0; i < calls; i++) {
			if (read_once(in))
				return 6;
			release();
		}
		times[round] = (now() - start) / (double) calls;
	}
	report("read", times, allocations - before, calls);

	/* Listings are written by slurmctld alone: the library has no code for them. */
	if (type == 2004 || type == 2008)
		return 0;
	read_once(in);
	struct buf *out = slurm_init_buf((uint32_t) size);
	if (pack_msg(message, out) || out->processed != size || memcmp(out->head, in->head, (size_t) size))
		return 7;
	before = allocations;
	for (int round = 0; round < ROUNDS; round++) {
		double start = now();
		for (long i = 0; i < calls; i++) {
			out->processed = 0;
			pack_msg(message, out);
		}
		times[round] = (now() - start) / (double) calls;
	}
	report("write", times, allocations - before, calls);
	return 0;
}
