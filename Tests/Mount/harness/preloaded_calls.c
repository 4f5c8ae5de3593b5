/* SPDX-License-Identifier: MIT
 *
 * Calls that fail, wait or answer oddly, for a test: preloaded into an instance (preloaded_calls.py). FSMVP_TEST_CALLS
 * names a file of one struct calls that the test maps too. Any thread; takes no lock; waits where a rule says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RULES 64

struct rule {
	uint64_t left;	/* for how many more calls it counts; 0: for none. The test writes it last */
	uint64_t fired; /* for how many it has counted */
	int64_t error;	/* the errno that the call fails with, after it has waited; 0: it is made */
	uint64_t holds; /* 1: the call waits until this is 0 */
	uint64_t us;	/* how long the call waits besides */
	uint64_t since; /* only files changed since; CLOCK_REALTIME ns, as file systems write it */
	char call[32];	/* "pwrite", or "*" for every call on a file */
	char program[16];
	char thread[16];
	char path[96]; /* a part of the file's path. Empty, as the two before: any */
};

struct calls {
	uint64_t count; /* of rules ever made */
	struct rule rules[RULES];
};

static struct calls *calls;

/* The function itself. */
#define NEXT(name)                                                                                                     \
	({                                                                                                             \
		static __typeof__(&name) next_;                                                                        \
		if (!next_)                                                                                            \
			next_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                            \
		next_;                                                                                                 \
	})

__attribute__((constructor)) static void map_file(void)
{
	const char *path = getenv("FSMVP_TEST_CALLS");
	int fd = path ? NEXT(open)(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd < 0)
		return;
	mapped = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	calls = mapped == MAP_FAILED ? NULL : mapped;
}

/* The file that a call is about: by its name, or by its descriptor. */
struct about {
	const char *name;
	int fd;
};
#define NO_FILE	    ((struct about){NULL, -1})
#define BY_NAME(it) ((struct about){it, -1})
#define BY_FD(it)   ((struct about){NULL, it})

static int is_about(const struct rule *rule, struct about about)
{
	char link[64], path[PATH_MAX];
	struct stat status;
	ssize_t length;

	if (rule->path[0] == '\0')
		return 1;
	if (about.name)
		return strstr(about.name, rule->path) != NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", about.fd);
	length = about.fd < 0 ? -1 : readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return 0;
	path[length] = '\0';
	return strstr(path, rule->path) &&
	       (rule->since == 0 ||
		(fstat(about.fd, &status) == 0 &&
		 (uint64_t)status.st_ctim.tv_sec * 1000000000 + (uint64_t)status.st_ctim.tv_nsec >= rule->since));
}

static struct rule *find(const char *call, struct about about)
{
	uint64_t count = calls ? __atomic_load_n(&calls->count, __ATOMIC_ACQUIRE) : 0;
	char thread[16];

	for (uint64_t i = 0; i < count && i < RULES; i++) {
		struct rule *rule = &calls->rules[i];

		if (__atomic_load_n(&rule->left, __ATOMIC_ACQUIRE) == 0)
			continue;
		if (strcmp(rule->call, call) != 0 && (strcmp(rule->call, "*") != 0 || (!about.name && about.fd < 0)))
			continue;
		if (rule->program[0] != '\0' && strcmp(rule->program, program_invocation_short_name) != 0)
			continue;
		if (rule->thread[0] != '\0' && (pthread_getname_np(pthread_self(), thread, sizeof(thread)) != 0 ||
						strcmp(thread, rule->thread) != 0))
			continue;
		if (is_about(rule, about))
			return rule;
	}
	return NULL;
}

static int count(struct rule *rule)
{
	uint64_t left = __atomic_load_n(&rule->left, __ATOMIC_ACQUIRE), next;

	do {
		if (left == 0)
			return 0;
		next = left == UINT64_MAX ? left : left - 1;
	} while (!__atomic_compare_exchange_n(&rule->left, &left, next, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	__atomic_fetch_add(&rule->fired, 1, __ATOMIC_ACQ_REL);
	return 1;
}

/* Waits as the rule says. The error, also in errno; 0: the call is made. */
static int obey(struct rule *rule)
{
	if (!rule || !count(rule))
		return 0;
	if (rule->us)
		usleep((useconds_t)rule->us);
	while (__atomic_load_n(&rule->holds, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (rule->error)
		errno = (int)rule->error;
	return (int)rule->error;
}

static int fails(const char *call, struct about about)
{
	return obey(find(call, about));
}

/* Files */

#define MODE(flags)                                                                                                    \
	mode_t mode = 0;                                                                                               \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                         \
		va_list list;                                                                                          \
		va_start(list, flags);                                                                                 \
		mode = va_arg(list, mode_t);                                                                           \
		va_end(list);                                                                                          \
	}

int open(const char *path, int flags, ...)
{
	MODE(flags)
	return fails("open", BY_NAME(path)) ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	MODE(flags)
	return fails("open", BY_NAME(path)) ? -1 : NEXT(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
	MODE(flags)
	return fails("open", BY_NAME(path)) ? -1 : NEXT(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
	MODE(flags)
	return fails("open", BY_NAME(path)) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}

/* The function that a fortified program calls if the flags are not known when it is compiled. */
int __openat_2(int folder, const char *path, int flags)
{
	return fails("open", BY_NAME(path)) ? -1 : NEXT(openat)(folder, path, flags);
}

/* preadv2(2) may be told not to wait for the disk: a file that waits answers so. */
ssize_t preadv2(int fd, const struct iovec *parts, int part_count, off_t offset, int flags)
{
	struct rule *rule = find("preadv2", BY_FD(fd));

	if (rule && (rule->holds || rule->us) && (flags & RWF_NOWAIT)) {
		errno = EAGAIN;
		return -1;
	}
	return obey(rule) ? -1 : NEXT(preadv2)(fd, parts, part_count, offset, flags);
}

#define ON_FD(type, name, call, parameters, arguments)                                                                 \
	type name parameters                                                                                           \
	{                                                                                                              \
		return fails(call, BY_FD(fd)) ? -1 : NEXT(name) arguments;                                             \
	}
ON_FD(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(ssize_t, writev, "writev", (int fd, const struct iovec *parts, int some), (fd, parts, some))
ON_FD(ssize_t, pwrite, "pwrite", (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
ON_FD(ssize_t, pwrite64, "pwrite", (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
ON_FD(ssize_t, pwritev, "pwrite", (int fd, const struct iovec *parts, int some, off_t at), (fd, parts, some, at))
ON_FD(ssize_t, pread, "pread", (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
ON_FD(ssize_t, pread64, "pread", (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
ON_FD(int, fsync, "fsync", (int fd), (fd))
ON_FD(int, fdatasync, "fsync", (int fd), (fd))
ON_FD(int, ftruncate, "ftruncate", (int fd, off_t length), (fd, length))
ON_FD(int, ftruncate64, "ftruncate", (int fd, off64_t length), (fd, length))
ON_FD(int, fallocate, "fallocate", (int fd, int mode, off_t at, off_t length), (fd, mode, at, length))

int unlink(const char *path)
{
	return fails("unlink", BY_NAME(path)) ? -1 : NEXT(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags)
{
	return fails("unlink", BY_NAME(path)) ? -1 : NEXT(unlinkat)(folder, path, flags);
}

/* A rule for "fuse_init" makes the kernel an older one: its error is the minor version that the kernel says. */
ssize_t read(int fd, void *into, size_t size)
{
	ssize_t got = fails("read", BY_FD(fd)) ? -1 : NEXT(read)(fd, into, size);
	struct fuse_in_header *in = into;
	struct fuse_init_in *init = (void *)(in + 1);
	struct rule *rule;

	if (got >= (ssize_t)(sizeof(*in) + 16) && in->opcode == FUSE_INIT && in->len == got && in->nodeid == 0) {
		rule = find("fuse_init", NO_FILE);
		if (rule && count(rule))
			init->minor = (uint32_t)rule->error;
	}
	return got;
}

/* The system */

long syscall(long number, ...)
{
	const char *name = number == SYS_pidfd_open	     ? "pidfd_open"
			   : number == SYS_pidfd_send_signal ? "pidfd_send_signal"
							     : NULL;
	va_list list;
	long argument[6];

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (name && fails(name, NO_FILE))
		return -1;
	return NEXT(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
	int error = fails("pthread_create", NO_FILE);

	return error ? error : NEXT(pthread_create)(thread, attributes, body, argument);
}

int eventfd(unsigned int value, int flags)
{
	return fails("eventfd", NO_FILE) ? -1 : NEXT(eventfd)(value, flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return fails("accept4", NO_FILE) ? -1 : NEXT(accept4)(fd, address, length, flags);
}

int umount2(const char *path, int flags)
{
	return fails("umount2", NO_FILE) ? -1 : NEXT(umount2)(path, flags);
}

pid_t fork(void)
{
	return fails("fork", NO_FILE) ? -1 : NEXT(fork)();
}
