/* Reads bodies of messages with Slurm's own library and writes them again, in the same release's
 * form or in another's. Sees no header of any release: messages and buffers are opaque but for the
 * few places that are found or checked here.
 *
 *   repack <libslurmfull.so> [<plugin to begin with>...]
 *
 * Standard input: one record a body, numbers in the machine's order.
 *   u8 set (0 controller and node, 1 accounting)  u8 zero  u16 type  u16 version it is written in
 *   u16 version to write  u32 length  bytes
 * Standard output: one record an answer.
 *   u8 was it read  u8 was it written  u16 zero  u32 bytes not read  u32 length  bytes
 *
 * Each body is taken by a process of its own: what the library cannot stand kills that one only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 1024, UNSET = 0xfffe, SECONDS_MAX = 5, MEMORY_MAX = 1 << 30 };

struct buf {
	uint32_t magic;
	char *head;
	uint32_t size, processed;
};

struct accounting {
	void *connection, *data;
	uint16_t type;
	char spare[64];
};

struct question {
	uint8_t set, zero;
	uint16_t type, from, to;
	uint32_t length;
} __attribute__((packed));

struct answer {
	uint8_t read, written;
	uint16_t zero;
	uint32_t left, length;
} __attribute__((packed));

static void *library;
static size_t place_type;

static void *call(const char *name)
{
	void *found = dlsym(library, name);
	if (!found) {
		fprintf(stderr, "repack: %s\n", dlerror());
		exit(3);
	}
	return found;
}

static int all(int fd, void *at, size_t length, int writing)
{
	char *next = at;
	while (length) {
		ssize_t done = writing ? write(fd, next, length) : read(fd, next, length);
		if (done <= 0)
			return -1;
		next += done;
		length -= (size_t) done;
	}
	return 0;
}

/* A fresh message has neither a type nor a version, and they are neighbours. */
static void find_places(void)
{
	static char message[MESSAGE_BYTES];
	void (*init)(void *) = call("slurm_msg_t_init");
	size_t found = 0;
	init(message);
	for (size_t at = 0; at + 4 <= sizeof message; at += 2) {
		uint16_t pair[2];
		memcpy(pair, message + at, sizeof pair);
		if (pair[0] == UNSET && pair[1] == UNSET) {
			place_type = at;
			found++;
		}
	}
	if (found != 1) {
		fprintf(stderr, "repack: %zu places for a type\n", found);
		exit(3);
	}
}

/* What a child has found out so far; it outlives a child that dies of writing. */
static struct answer *found;

static void has_read(const struct question *asked, const struct buf *in)
{
	found->left = asked->length - in->processed;
	found->read = 1;
}

static void has_written(int fd, const struct buf *out)
{
	found->length = out->processed;
	if (!all(fd, out->head, out->processed, 1))
		found->written = 1;
}

static struct buf *buffer_of(const char *bytes, uint32_t length)
{
	struct buf *(*init)(uint32_t) = call("slurm_init_buf");
	struct buf *buf = init(length > 16384 ? length : 16384);
	memcpy(buf->head, bytes, length);
	buf->size = length;
	return buf;
}

static void message(int fd, const struct question *asked, const char *bytes)
{
	static char message[MESSAGE_BYTES];
	void (*init)(void *) = call("slurm_msg_t_init");
	int (*unpack)(void *, void *) = call("unpack_msg");
	int (*pack)(void *, void *) = call("pack_msg");
	struct buf *(*init_buf)(uint32_t) = call("slurm_init_buf"), *out;
	struct buf *in = buffer_of(bytes, asked->length);
	init(message);
	memcpy(message + place_type, &asked->type, 2);
	memcpy(message + place_type + 2, &asked->from, 2);
	if (unpack(message, in))
		return;
	has_read(asked, in);
	memcpy(message + place_type + 2, &asked->to, 2);
	out = init_buf(16384);
	if (!pack(message, out))
		has_written(fd, out);
}

/* The bytes begin with the type. */
static void accounting(int fd, const struct question *asked, const char *bytes)
{
	static struct accounting message;
	int (*unpack)(void *, uint16_t, void *) = call("slurm_unpack_slurmdbd_msg");
	struct buf *(*pack)(void *, uint16_t) = call("slurm_pack_slurmdbd_msg"), *out;
	struct buf *in = buffer_of(bytes, asked->length);
	if (unpack(&message, asked->from, in))
		return;
	has_read(asked, in);
	out = pack(&message, asked->to);
	if (out)
		has_written(fd, out);
}

static void answer(const struct question *asked, const char *bytes)
{
	static char *back;
	static size_t room;
	int ends[2];
	pid_t child;
	memset(found, 0, sizeof *found);
	if (pipe(ends) || (child = fork()) < 0)
		exit(4);
	if (!child) {
		struct rlimit memory = { MEMORY_MAX, MEMORY_MAX }, none = { 0, 0 };
		setrlimit(RLIMIT_AS, &memory);
		setrlimit(RLIMIT_CORE, &none);
		alarm(SECONDS_MAX);
		(asked->set ? accounting : message)(ends[1], asked, bytes);
		_exit(0);
	}
	close(ends[1]);
	size_t length = 0;
	for (ssize_t more = 1; more > 0; length += (size_t) more) {
		if (length + 65536 > room)
			back = realloc(back, room = 2 * length + 65536);
		more = read(ends[0], back + length, room - length);
		if (more < 0)
			exit(4);
	}
	close(ends[0]);
	waitpid(child, NULL, 0);
	found->written = found->written && found->length == length;
	found->length = found->written ? (uint32_t) length : 0;
	if (all(1, found, sizeof *found, 1) || all(1, back, found->length, 1))
		exit(4);
}

int main(int argc, char **argv)
{
	struct question asked;
	char *bytes = NULL;
	library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "repack: %s\n", dlerror());
		return 3;
	}
	void (*init)(const char *) = call("slurm_init");
	init(NULL);
	for (int at = 2; at < argc; at++) {
		int (*plugin)(uint64_t) = dlsym(library, argv[at]);
		if (plugin && plugin(0))
			fprintf(stderr, "repack: %s fails\n", argv[at]);
	}
	find_places();
	found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (found == MAP_FAILED)
		return 4;
	while (!all(0, &asked, sizeof asked, 0)) {
		bytes = realloc(bytes, asked.length + 1);
		if (all(0, bytes, asked.length, 0))
			return 4;
		answer(&asked, bytes);
	}
	return 0;
}
