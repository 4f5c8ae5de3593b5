/* SPDX-License-Identifier: MIT
 *
 * fsmvp-shim: the kernel-facing process of one mount. The first mounts, answers FUSE_INIT, starts its threads,
 * becomes the link thread; a start that fails tells the control plane why in one sentence and leaves nothing
 * mounted. A successor is handed the mount's descriptors, makes ready, waits for the active shim's end and
 * goes on in its place. The only struct shim is here.
 */
#include "life/base.h"
#include "life/life.h"
#include "bytes/bytes.h"
#include "bytes/disk.h"
#include "link/link.h"
#include "mount/mount.h"
#include "request/request.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#define PRIORITY (-11) /* as sound servers have */

static const char help[] =
    "fsmvp-shim answers the kernel for one FuseStream mount. It is started by `fsmvp run`, not by hand.\n"
    "\n"
    "usage: fsmvp-shim --mountpoint PATH --listen FD --root FD [--root FD ...] [--fsname NAME] [--subtype "
    "NAME]\n"
    "                  [--read-only] [--allow-other] [--xattr] [--read-ahead KIB] [--workers N] [--log-level "
    "N] [--orphan-timeout MS]\n"
    "       fsmvp-shim --successor --fuse FD --region FD --shim-bell FD --control-bell FD [--shim-timeout "
    "MS] ...\n"
    "       fsmvp-shim --abi\n"
    "\n"
    "  --mountpoint PATH  where to mount; absolute\n"
    "  --listen FD        a listening Unix stream socket for the control plane\n"
    "  --root FD          a directory of cached bytes or the window's memfd; leases name them by order\n"
    "  --fsname NAME      what `df` shows as the device (fsmvp)\n"
    "  --subtype NAME     the type after `fuse.` (fsmvp)\n"
    "  --read-only        refuse every change\n"
    "  --allow-other      let other users in; without privilege /etc/fuse.conf has to say user_allow_other\n"
    "  --xattr            ask the control plane for extended attributes; else there are none\n"
    "  --read-ahead KIB   what the kernel is to read ahead (1024)\n"
    "  --workers N        threads that read requests, 1 to 16 (2)\n"
    "  --log-level N      0 errors, 1 warnings, 2 notices, 3 everything (2)\n"
    "  --orphan-timeout MS  so long without a control plane, and what waits for one gets an error (600000)\n"
    "  --successor        do not mount: wait for the end of the shim that serves this mount, then go on for "
    "it\n"
    "  --fuse, --region, --shim-bell, --control-bell FD\n"
    "                     what a successor is handed of the mount\n"
    "  --shim-timeout MS  a serving shim without a sign of life for so long is killed (5000)\n"
    "  --abi              print the number of the wire protocol\n"
    "\n"
    "exit status: 0 the mount is gone, or served by another shim; 75 the machine lacks descriptors, memory "
    "or tasks for\n"
    "now; 1 a failed start, 2 wrong options.\n";

static void ignore_signals(void)
{
	/* Ctrl-C and a closing terminal are the control plane's to handle. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a log that may not grow loses lines, not the shim */
	signal(SIGTTOU, SIG_IGN); /* a line of log to a terminal stops nothing */
	drain_prepare();
}

/* The exit status tells control why the shim ended. A shortage of the machine (descriptors, memory, tasks) passes, so
 * control waits it out; anything else counts against the shim. */
static int exit_status(int error)
{
	switch (-error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
	case ENOBUFS:
	case ENOSPC:
		return EX_TEMPFAIL;
	default:
		return EXIT_FAILURE;
	}
}

/* Descriptors that were handed over on purpose go no further, because fusermount3 is a child of ours. A number that is
 * no descriptor is a broken start. */
static int close_on_exec(const struct options *options)
{
	int error = 0;
	const int fds[] = {options->listen_fd, options->fuse_fd, options->region_fd, options->shim_bell,
			   options->control_bell};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0 && fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
			error = -errno;
	}
	for (uint32_t i = 0; i < options->root_count; i++) {
		if (fcntl(options->roots[i], F_SETFD, FD_CLOEXEC) != 0)
			error = -errno;
	}
	return error;
}

/* The number by which the region names this process; without it there is nothing to claim. */
static int find_self(struct shim *shim)
{
	shim->self = fsmvp_process_id(getpid());
	return shim->self != 0 ? 0 : -errno;
}

static int make_region(struct shim *shim)
{
	struct fsmvp_header *header;
	int error = region_create(&shim->region, &shim->region_fd);

	if (error)
		return error;
	shim->shim_bell = bell_create();
	shim->control_bell = bell_create();
	if (shim->shim_bell < 0)
		return shim->shim_bell;
	if (shim->control_bell < 0)
		return shim->control_bell;
	header = shim->region.header;
	header->volume_flags = (shim->options.read_only ? FSMVP_VOLUME_READ_ONLY : 0) |
			       (shim->options.allow_other ? FSMVP_VOLUME_ALLOW_OTHER : 0) |
			       (shim->options.xattr ? FSMVP_VOLUME_XATTR : 0);
	header->workers = shim->options.workers;
	header->epoch = 1;
	header->heartbeat = fsmvp_now();
	fsmvp_store_release(&header->active, shim->self);
	return 0;
}

/* The region and all else of a mount that is there. */
static int take_region(struct shim *shim)
{
	const struct options *options = &shim->options;
	struct fsmvp_header *header;
	int error = region_map(&shim->region, options->region_fd);

	if (error)
		return error;
	header = shim->region.header;
	if (header->workers == 0 || header->workers > FSMVP_WORKERS_MAX)
		return -EPROTO;
	/* A worker for each receive buffer that may hold a request. */
	shim->options.workers = header->workers;
	shim->fuse_fd = options->fuse_fd;
	shim->region_fd = options->region_fd;
	shim->shim_bell = options->shim_bell;
	shim->control_bell = options->control_bell;
	snprintf(shim->mountpoint, sizeof(shim->mountpoint), "%s", options->mountpoint);
	return 0;
}

static int make_parts(struct shim *shim)
{
	int error;

	shim->canceller_bell = bell_create();
	if (shim->canceller_bell < 0)
		return shim->canceller_bell;
	error = ring_open(&shim->ring, &shim->region, shim->shim_bell, shim->control_bell);
	if (!error)
		error = waiting_open(&shim->waiting, &shim->region);
	shim->ring.waiting = &shim->waiting;
	if (!error)
		error =
		    leases_open(&shim->leases, &shim->region, shim->options.roots, shim->options.root_count);
	for (uint32_t i = 0; !error && i < shim->options.workers; i++)
		error = buffer_create(&shim->buffers[i]);
	if (!error)
		error = buffer_create(&shim->buffers[FSMVP_WORKERS_MAX]);
	if (!error)
		error = disk_open(&shim->disk);
	if (!error)
		error = disk_start(shim);
	handles_open(&shim->handles, &shim->region, shim->control_bell);
	return error;
}

/* Mounts and answers FUSE_INIT. */
static int bring_up(struct shim *shim, char message[SHIM_MESSAGE_MAX])
{
	/* mountinfo shows the path without links; asked before our own mount is there. */
	char *path = realpath(shim->options.mountpoint, NULL);

	snprintf(shim->mountpoint, sizeof(shim->mountpoint), "%s", path ? path : shim->options.mountpoint);
	free(path);
	snprintf(shim->region.header->mountpoint, FSMVP_MOUNTPOINT_MAX, "%s", shim->mountpoint);
	shim->fuse_fd = mount_start(&shim->options, shim->mountpoint, message);
	if (shim->fuse_fd < 0)
		return shim->fuse_fd;
	return init_handshake(shim->fuse_fd, shim->region.header, message);
}

/* All of them, held back at the gate: a shim that lacks one has nothing to offer. */
static int start_threads(struct shim *shim)
{
	int error = invalidate_start(shim);

	if (!error)
		error = canceller_start(shim);
	if (!error)
		error = completion_start(shim);
	if (!error)
		error = disk_start(shim);
	for (uint32_t i = 0; !error && i < shim->options.workers; i++)
		error = worker_start(shim, i);
	return error;
}

static _Noreturn void succeed(struct shim *shim)
{
	uint64_t ended_at;
	int error = take_region(shim);

	if (!error)
		error = make_parts(shim);
	if (!error)
		error = session_start(shim);
	if (!error)
		error = link_prepare(shim);
	if (!error)
		error = start_threads(shim);
	if (error) {
		log_write(LOG_ERROR, "cannot become a successor: %s", strerror(-error));
		log_end(exit_status(error));
	}
	region_lock_receive(&shim->region, shim->options.workers, false);
	if (!standby_wait(shim, &ended_at))
		_exit(0);
	/* While it waited, rows were used that it has not seen. */
	ring_refresh(&shim->ring);
	handles_open(&shim->handles, &shim->region, shim->control_bell);
	takeover(shim, ended_at);
	gate_open();
	log_write(LOG_NOTICE, "took over, epoch %llu",
		  (unsigned long long)fsmvp_load_relaxed(&shim->region.header->epoch));
	link_run();
	log_end(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	static struct shim shim = {.fuse_fd = -1};
	char message[SHIM_MESSAGE_MAX] = "";
	int error;

	ignore_signals();
	if (options_parse(&shim.options, argc, argv, message) != 0) {
		log_write(LOG_ERROR, "%s; see fsmvp-shim --help", message);
		log_end(2);
	}
	if (shim.options.help) {
		fputs(help, stdout);
		return 0;
	}
	if (shim.options.abi) {
		printf("%u\n", FSMVP_ABI);
		return 0;
	}
	/* A dead shim is gone only when each of its threads has run once more, and until then its successor
	 * waits: behind all other work on a busy machine (p99 of a kill under load 30 ms without, 15 with).
	 * Without privilege the priority stays as it is. */
	setpriority(PRIO_PROCESS, 0, PRIORITY);
	limits_raise();
	mallopt(M_ARENA_MAX, 2);
	log_set_level(shim.options.log_level);
	error = close_on_exec(&shim.options);
	if (!error)
		error = find_self(&shim);
	if (!error && shim.options.successor)
		succeed(&shim);
	if (!error)
		error = make_region(&shim);
	if (!error)
		error = make_parts(&shim);
	if (!error) {
		region_lock_receive(&shim.region, shim.options.workers, true);
		error = bring_up(&shim, message);
	}
	if (!error)
		error = session_start(&shim);
	if (!error)
		error = link_prepare(&shim);
	if (!error)
		error = start_threads(&shim);
	if (error) {
		if (message[0] == '\0')
			snprintf(message, sizeof(message), "the shim could not start (%s)", strerror(-error));
		if (shim.fuse_fd >= 0) {
			close(shim.fuse_fd);
			mount_undo(shim.mountpoint);
		}
		log_write(LOG_ERROR, "%s", message);
		if (!shim.options.successor)
			hello_wait_and_refuse(shim.options.listen_fd, -error, message);
		log_end(exit_status(error));
	}
	mount_read_ahead(shim.mountpoint, shim.options.read_ahead_kib);
	gate_open();
	link_run();
	log_end(EXIT_FAILURE);
}
