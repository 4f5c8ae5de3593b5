/* SPDX-License-Identifier: MIT
 *
 * One shim: everything that its threads share. The contract with the control plane is fsmvp_wire.h; nothing here is
 * shared with another process. No header of the shim has libfuse or libuv types, so that the tests import them as they
 * are.
 *
 * Threads: workers (read /dev/fuse, answer or forward), completion (answers what control completed), disk
 * (blocking reads), canceller (EINTR for dying callers), invalidator (orders to the kernel's caches), link
 * (main thread, libuv; before that the standby's wait and the takeover), and one that writes log lines to standard
 * error while there is no link. Only disk threads wait for a disk, and no thread waits for control.
 *
 * main.c owns the only struct shim. Each member is changed by the files of the header that has its type, and what
 * several threads change is atomic or under the member's lock. */
#ifndef FSMVP_SHIM_H
#define FSMVP_SHIM_H

#include "bytes/bytes.h"
#include "bytes/disk.h"
#include "life/base.h"
#include "life/life.h"
#include "link/link.h"
#include "request/request.h"

struct fuse_session;

struct shim {
	struct options options;
	uint64_t self; /* pid | start time << 32 */
	struct region region;
	struct ring ring;
	struct waiting waiting;
	struct handles handles;
	struct leases leases;
	struct disk disk;
	struct invalidator invalidator;
	struct fuse_session *session;
	/* One a worker; the last is the completion thread's. */
	struct buffer buffers[FSMVP_WORKERS_MAX + 1];
	struct progress progress[FSMVP_WORKERS_MAX + 1];
	bool is_initialised; /* libfuse has taken the saved INIT */
	int fuse_fd, region_fd, shim_bell, control_bell, canceller_bell;
	uint64_t canceller_parked;
	uint64_t hurry;	   /* FUSE_INTERRUPTs seen */
	uint64_t orphaned; /* no control plane completes forwarded requests: they are answered EIO */
	uint64_t workers_left, completion_left; /* threads that have left for good, handing over */
	char mountpoint[FSMVP_MOUNTPOINT_MAX];
};

#endif
