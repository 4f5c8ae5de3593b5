/* SPDX-License-Identifier: MIT
 *
 * A process that reads a mount, compares every byte and forgives no error: checker MODE PATH WANT REPORT SEED
 *
 *   direct    O_DIRECT reads of 4 KiB, 128 KiB and 1 MiB at random places (buffered ones hide errors: the kernel asks
 *             again)
 *   once      one O_DIRECT pass over the file from its beginning, by 1 MiB, then the end
 *   probe     the same 4 KiB again and again, O_DIRECT, on an open file; times each read
 *   buffered  the whole file by 128 KiB through the page cache, which is dropped after each pass
 *   mapped    random pages of a mapping, dropped again
 *   names     stat of the file, a name that is not there, listings
 *   open      open, one read, close
 *
 * WANT is a file with the right bytes. REPORT is a file of one struct report, mapped here and by the test. Runs until
 * `stop` is set there; exits 0 without an error. SIGUSR1 is caught and does nothing, without SA_RESTART. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (1 << 20)
#define SLOW  16384

struct report {
	uint64_t stop;
	uint64_t operations;
	uint64_t errors;
	uint64_t slow; /* how many were written; the ring below holds the last */
	char first[256];
	struct {
		uint64_t began, ended; /* CLOCK_MONOTONIC ns */
	} times[SLOW];
};

static struct report *report;
static const char *path;
static const uint8_t *want;
static uint64_t size;
static struct stat seen;
static uint8_t *buffer;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void failed(const char *what, uint64_t at, const char *why)
{
	if (__atomic_fetch_add(&report->errors, 1, __ATOMIC_RELAXED) == 0)
		snprintf(report->first, sizeof(report->first), "%s at %llu: %s", what, (unsigned long long)at, why);
}

static void done(void)
{
	__atomic_fetch_add(&report->operations, 1, __ATOMIC_RELAXED);
}

static int stopped(void)
{
	return __atomic_load_n(&report->stop, __ATOMIC_RELAXED) != 0;
}

static void check(int fd, uint64_t at, size_t length)
{
	uint64_t left = size - at;
	ssize_t wanted = (ssize_t)(left < length ? left : length), got = pread(fd, buffer, length, (off_t)at);

	if (got < 0)
		failed("read", at, strerror(errno));
	else if (got != wanted)
		failed("read", at, "short");
	else if (memcmp(buffer, want + at, (size_t)got) != 0)
		failed("read", at, "bytes differ");
	done();
}

static int open_or_say(int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	struct stat status;

	if (fd < 0) {
		failed("open", 0, strerror(errno));
		return fd;
	}
	if (fstat(fd, &status) != 0)
		failed("fstat", 0, strerror(errno));
	else if (status.st_ino != seen.st_ino || status.st_size != seen.st_size ||
		 memcmp(&status.st_mtim, &seen.st_mtim, sizeof(status.st_mtim)) != 0)
		failed("fstat", 0, "inode, size or mtime changed");
	return fd;
}

static void direct(unsigned *seed)
{
	static const size_t lengths[] = {4096, 131072, BLOCK};
	int fd = open_or_say(O_DIRECT);

	while (fd >= 0 && !stopped())
		check(fd, (uint64_t)rand_r(seed) % (size / 4096 + 1) * 4096, lengths[rand_r(seed) % 3]);
	close(fd);
}

static void once(void)
{
	int fd = open_or_say(O_DIRECT);

	for (uint64_t at = 0; fd >= 0 && at < size && !stopped(); at += BLOCK)
		check(fd, at, BLOCK);
	close(fd);
}

static void probe(void)
{
	int fd = open_or_say(O_DIRECT);

	while (fd >= 0 && !stopped()) {
		uint64_t began = now(), ended, slot;

		check(fd, 0, 4096);
		ended = now();
		if (ended - began < 200000)
			continue;
		slot = report->slow % SLOW;
		report->times[slot].began = began;
		report->times[slot].ended = ended;
		__atomic_store_n(&report->slow, report->slow + 1, __ATOMIC_RELEASE);
	}
	close(fd);
}

static void buffered(void)
{
	int fd = open_or_say(0);

	while (fd >= 0 && !stopped()) {
		for (uint64_t at = 0; at < size && !stopped(); at += 131072)
			check(fd, at, 131072);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	close(fd);
}

static void mapped(unsigned *seed)
{
	int fd = open_or_say(0);
	uint8_t *bytes = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	while (bytes != MAP_FAILED && !stopped()) {
		uint64_t at = (uint64_t)rand_r(seed) % size;

		if (bytes[at] != want[at])
			failed("mapped", at, "byte differs");
		madvise(bytes, size, MADV_DONTNEED);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		done();
	}
	close(fd);
}

static void names(unsigned *seed)
{
	char folder[4096], name[4200], *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	*slash = '\0';
	while (!stopped()) {
		struct stat status;
		struct dirent *entry;
		int found = 0;
		DIR *listing = opendir(folder);

		while (listing && (entry = readdir(listing)))
			found += strcmp(entry->d_name, slash + 1) == 0;
		if (found != 1)
			failed("readdir", 0, listing ? "the name is not there once" : strerror(errno));
		if (listing)
			closedir(listing);
		if (stat(path, &status) != 0)
			failed("stat", 0, strerror(errno));
		else if (status.st_size != seen.st_size || status.st_ino != seen.st_ino)
			failed("stat", 0, "inode or size changed");
		snprintf(name, sizeof(name), "%s/nobody-%u", folder, (unsigned)rand_r(seed));
		if (stat(name, &status) == 0 || errno != ENOENT)
			failed("lookup", 0, strerror(errno));
		done();
	}
}

static void opens(unsigned *seed)
{
	while (!stopped()) {
		int fd = open_or_say(O_DIRECT);

		if (fd < 0)
			continue;
		check(fd, (uint64_t)rand_r(seed) % (size / 4096 + 1) * 4096, 4096);
		close(fd);
	}
}

static void nothing(int signal)
{
	(void)signal;
}

static void *map_file(const char *name, int flags, int protection, uint64_t *length)
{
	int fd = open(name, flags | O_CLOEXEC);
	struct stat status;
	void *bytes;

	if (fd < 0 || fstat(fd, &status) != 0) {
		perror(name);
		exit(2);
	}
	bytes = mmap(NULL, (size_t)status.st_size, protection, MAP_SHARED, fd, 0);
	*length = (uint64_t)status.st_size;
	close(fd);
	if (bytes == MAP_FAILED) {
		perror(name);
		exit(2);
	}
	return bytes;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = nothing};
	uint64_t length;
	unsigned seed;

	if (argc != 6)
		return 2;
	path = argv[2];
	want = map_file(argv[3], O_RDONLY, PROT_READ, &size);
	report = map_file(argv[4], O_RDWR, PROT_READ | PROT_WRITE, &length);
	seed = (unsigned)atoi(argv[5]);
	if (length < sizeof(*report) || stat(path, &seen) != 0 || (uint64_t)seen.st_size != size)
		return 2;
	sigaction(SIGUSR1, &action, NULL);
	buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	puts("begun");
	fflush(stdout);
	switch (argv[1][0]) {
	case 'd':
		direct(&seed);
		break;
	case 'o':
		strcmp(argv[1], "once") == 0 ? once() : opens(&seed);
		break;
	case 'p':
		probe();
		break;
	case 'b':
		buffered();
		break;
	case 'm':
		mapped(&seed);
		break;
	default:
		names(&seed);
	}
	return report->errors == 0 ? 0 : 1;
}
