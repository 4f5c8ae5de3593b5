/* SPDX-License-Identifier: MIT
 *
 * The libfuse session, started from the saved FUSE_INIT: the first start and a takeover are this one
 * function. Main thread; waits for nothing. libfuse never reads the descriptor and never mounts; it decodes,
 * and writes replies through io_writev. The session is a member of struct shim.
 */
#include "life/base.h"
#include "life/life.h"
#include "request/request.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <sys/uio.h>
#include <unistd.h>

#define TRIES_MAX 1000
#define TRY_US	  1000

/* The kernel has its answer to INIT already; libfuse's own is dropped. */
static _Thread_local bool swallow;

/* A reply that the kernel could not take for want of memory is still asked for, so it is tried again. If that does not
 * pass, the shim ends with the request in hand, for its successor to answer. */
ssize_t session_write(int fuse_fd, const struct iovec *parts, int count)
{
	int tries = 0;

	for (;;) {
		ssize_t written = writev(fuse_fd, parts, count);
		int error = errno;

		if (written >= 0 ||
		    (error != EINTR && error != EAGAIN && error != ENOMEM && error != ENOBUFS))
			return written;
		if (error == EINTR) /* a signal, of a hand-over for one: no shortage */
			continue;
		if (tries++ == TRIES_MAX) {
			log_write(LOG_ERROR,
				  "the kernel takes no reply (%s): this shim ends, and its successor answers",
				  strerror(error));
			log_end(EX_TEMPFAIL);
		}
		usleep(TRY_US);
	}
}

/* While a successor decodes a request, libfuse has nothing to say to the kernel but that it has no memory. */
static void note_shortage(struct adoption *adoption, const struct iovec *parts)
{
	struct fuse_out_header out = {0};

	if (parts[0].iov_len >= sizeof(out))
		memcpy(&out, parts[0].iov_base, sizeof(out));
	adoption->is_short = out.error == -ENOMEM;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	ssize_t sum = 0;

	(void)userdata;
	if (!swallow && !current.adopt)
		return session_write(fd, iov, count);
	if (current.adopt && count > 0)
		note_shortage(current.adopt, iov);
	for (int i = 0; i < count; i++)
		sum += (ssize_t)iov[i].iov_len;
	return sum;
}

static ssize_t io_read(int fd, void *into, size_t length, void *userdata)
{
	(void)fd;
	(void)into;
	(void)length;
	(void)userdata;
	errno = ENOSYS; /* workers read by themselves */
	return -1;
}

static void log_of_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
	char text[200];

	vsnprintf(text, sizeof(text), format, arguments);
	log_write(level <= FUSE_LOG_ERR	      ? LOG_ERROR
		  : level <= FUSE_LOG_WARNING ? LOG_WARNING
					      : LOG_DEBUG,
		  "libfuse: %s", text);
}

int session_start(struct shim *shim)
{
	static const struct fuse_custom_io io = {.writev = io_writev, .read = io_read};
	struct fsmvp_header *header = shim->region.header;
	char *arguments[] = {(char[]){"fsmvp-shim"}, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
	struct fuse_buf init = {.mem = header->init, .size = header->init_length};
	int error;

	fuse_set_log_func(log_of_libfuse);
	if (init.size == 0 || init.size > sizeof(header->init))
		return -EPROTO;
	shim->session = fuse_session_new(&args, &shim_ops, sizeof(shim_ops), shim);
	if (!shim->session)
		return -ENOMEM;
	error = fuse_session_custom_io(shim->session, &io, shim->fuse_fd);
	if (error)
		return error;
	swallow = true;
	fuse_session_process_buf(shim->session, &init);
	swallow = false;
	if (fuse_session_exited(shim->session))
		return -EPROTO;
	return shim->is_initialised ? 0 : -ENOMEM;
}
