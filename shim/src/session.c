/* SPDX-License-Identifier: MIT
 *
 * The libfuse session, started from the saved FUSE_INIT: the first start and a takeover are this one
 * function. Main thread; waits for nothing. libfuse never reads the descriptor and never mounts; it decodes,
 * and writes replies through io_writev.
 */
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

/* The kernel has its answer to INIT already; libfuse's own is dropped. */
static _Thread_local bool swallow;

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	ssize_t sum = 0;

	(void)userdata;
	if (!swallow)
		return writev(fd, iov, count);
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
	return fuse_session_exited(shim->session) ? -EPROTO : 0;
}
