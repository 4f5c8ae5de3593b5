/* SPDX-License-Identifier: MIT
 *
 * The process of the shim: its options, its session with libfuse, the gate of its threads and their progress, and how
 * one shim follows another. struct options and struct progress are members of struct shim, struct watch is the
 * caller's. */
#ifndef FSMVP_LIFE_H
#define FSMVP_LIFE_H

#include "life/base.h"

#include <sys/types.h>

struct iovec;

/* options.c */
struct options {
	const char *mountpoint;
	const char *fsname;
	const char *subtype;
	int listen_fd;
	/* Descriptors of the mount that a successor is handed. */
	int fuse_fd, region_fd, shim_bell, control_bell;
	uint32_t shim_timeout_ms, orphan_timeout_ms;
	int roots[SHIM_ROOTS_MAX];
	uint32_t root_count;
	uint32_t workers;
	uint32_t read_ahead_kib;
	uint32_t log_level;
	bool read_only;
	bool allow_other;
	bool xattr;
	bool successor;
	bool help;
	bool abi; /* print the number, end */
};
/* 0 or -EINVAL with the reason in `message`. */
int options_parse(struct options *options, int argc, char **argv, char message[SHIM_MESSAGE_MAX]);

/* session.c */
int session_start(struct shim *shim);
/* Writes a reply to the kernel. Bytes, or -1 and errno if the kernel will not have it. */
ssize_t session_write(int fuse_fd, const struct iovec *parts, int count);

/* gate.c: threads pass it when there is something to do, and leave for good when the shim hands over. */
void gate_pass(void);
void gate_open(void);
void gate_close(void);
/* Called when a thread has nothing in hand: does not return once the gate is closed. */
void gate_leave(uint64_t *left);

/* progress.c: what a thread that answers is at. Written by that thread. */
struct progress {
	uint64_t steps; /* things ended */
	uint64_t busy;	/* 0: it waits for something to do */
};
struct progress_seen {
	uint64_t workers[FSMVP_WORKERS_MAX];
	uint64_t completion;
};
static inline void progress_begins(struct progress *progress)
{
	fsmvp_store_release(&progress->busy, 1);
}
static inline void progress_step(struct progress *progress)
{
	fsmvp_store_release(&progress->steps, fsmvp_load_relaxed(&progress->steps) + 1);
}
static inline void progress_rests(struct progress *progress)
{
	progress_step(progress);
	fsmvp_store_release(&progress->busy, 0);
}
/* Whether a worker, and the completion thread, wait or have ended something since the look before. */
bool progress_is_made(const struct progress *workers, uint32_t count, const struct progress *completion,
		      struct progress_seen *seen);

/* watch.c: another process, until it has ended. */
struct watch {
	uint64_t identity;
	int pidfd;	 /* -1: none is to be had */
	bool is_proved;	 /* the pidfd is its own, and not of another process that got its number */
	bool is_running; /* at the last look */
	bool is_told;
};
void watch_begin(struct watch *watch, uint64_t identity);
void watch_end(struct watch *watch);
/* True once no thread of it runs any more; false after `timeout_ms`. */
bool watch_wait(struct watch *watch, int timeout_ms);
/* SIGKILL. 0 or a negative errno; -EAGAIN: it cannot be told just now whether the number is still its own. */
int watch_kill(struct watch *watch);

/* standby.c */
bool mount_is_gone(int fuse_fd);
/* Does not return in a shim that the region does not name as the active one. */
void standby_end_if_deposed(const struct shim *shim);
/* Waits until this shim is the active one, and when its predecessor ended. False: the mount is gone. */
bool standby_wait(struct shim *shim, uint64_t *ended_at);

/* takeover.c */
void takeover(struct shim *shim, uint64_t ended_at);
/* Frees rows that were half filled, and releases those whose OPEN is in no slot and no waiting row. */
void takeover_clear_handles(struct shim *shim);

/* drain.c */
void drain_prepare(void);
void drain_start(struct shim *shim);

/* orphan.c */
void orphan_tick(struct shim *shim, bool is_linked, uint32_t tick_ms);
/* A control plane has said hello: from this instant on no request is answered for want of one. */
void orphan_adopted(struct shim *shim);

#endif
