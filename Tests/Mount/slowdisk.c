/* A disk that is slow, for a test: preloaded into a process, it makes what would touch the disk behind *.bytes files take SLOWDISK_MS.
 * preadv2 with RWF_NOWAIT answers EAGAIN where the file's name is in SLOWDISK_COLD (as if its pages were not cached). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Slow while the file $SLOWDISK_SWITCH exists, for files of bytes made while it existed already (their mtime tells). */
static int is_slow(int fd)
{
	const char *name = getenv("SLOWDISK_SWITCH");
	char link[64], path[PATH_MAX];
	struct stat now, file;
	ssize_t length;

	if (!name || stat(name, &now) != 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return 0;
	path[length] = '\0';
	if (!strstr(path, ".bytes") || fstat(fd, &file) != 0)
		return 0;
	return file.st_ctim.tv_sec > now.st_mtim.tv_sec ||
	       (file.st_ctim.tv_sec == now.st_mtim.tv_sec && file.st_ctim.tv_nsec >= now.st_mtim.tv_nsec);
}

static void drag(void)
{
	const char *ms = getenv("SLOWDISK_MS");

	usleep(1000u * (unsigned)atoi(ms ? ms : "3000"));
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
	if (is_slow(fd))
		drag();
	return NEXT(pwrite64)(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (is_slow(fd))
		drag();
	return NEXT(pwrite)(fd, data, length, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	if (is_slow(fd))
		drag();
	return NEXT(pwritev)(fd, parts, count, offset);
}

ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	if (is_slow(fd)) {
		if (flags & RWF_NOWAIT) {
			errno = EAGAIN;
			return -1;
		}
		drag();
	}
	return NEXT(preadv2)(fd, parts, count, offset, flags);
}
