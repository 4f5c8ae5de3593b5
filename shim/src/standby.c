/* SPDX-License-Identifier: MIT
 *
 * A shim that waits to take over: all is ready but for the claim. Main thread; waits for the active shim's end,
 * with a tick in between for its heartbeat. It does not poll /dev/fuse, which would wake it at every request.
 */
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICK_MS 500

bool mount_is_gone(int fuse_fd)
{
	struct pollfd poll_fd = {.fd = fuse_fd};

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* So that control knows whom it has. Two at once do no harm: the claim decides. */
static void register_as_standby(struct fsmvp_header *header, uint64_t self)
{
	uint64_t seen = fsmvp_load_acquire(&header->standby);

	if (seen != self && (seen == 0 || fsmvp_process_id((int32_t)fsmvp_low(seen)) != seen))
		fsmvp_cas(&header->standby, seen, self);
	KILL_POINT("standby.registered");
}

/* The heartbeat stood still for `ticks` of our own ticks in a row. A machine that was suspended gives one tick,
 * however long it slept. */
struct pulse {
	uint64_t seen;
	uint32_t ticks;
};

static bool has_stopped(struct pulse *pulse, uint64_t heartbeat, uint32_t limit_ms)
{
	if (heartbeat != pulse->seen) {
		*pulse = (struct pulse){.seen = heartbeat};
		return false;
	}
	return ++pulse->ticks >= (limit_ms + TICK_MS - 1) / TICK_MS;
}

static void end_hung(struct shim *shim, int pidfd, uint64_t active)
{
	log_write(LOG_ERROR, "the active shim (pid %u) gave no sign of life for %u ms: it is killed",
		  fsmvp_low(active), shim->options.shim_timeout_ms);
	fsmvp_store_relaxed(&shim->region.header->killed_at, fsmvp_now());
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* Waits until no thread of `active` runs any more. False: the mount is gone. */
static bool await_end(struct shim *shim, uint64_t active, uint64_t self)
{
	struct fsmvp_header *header = shim->region.header;
	struct pulse pulse = {0};
	bool lives = true;
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)fsmvp_low(active), 0);

	/* No such process, or another one under its number. */
	if (pidfd < 0)
		return !mount_is_gone(shim->fuse_fd);
	if (fsmvp_process_started((int32_t)fsmvp_low(active)) != active) {
		close(pidfd);
		return !mount_is_gone(shim->fuse_fd);
	}
	while (lives) {
		struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
		int ready = poll(&poll_fd, 1, TICK_MS);

		if (ready > 0)
			break;
		if (ready < 0)
			continue;
		if (has_stopped(&pulse, fsmvp_load_acquire(&header->heartbeat),
				shim->options.shim_timeout_ms))
			end_hung(shim, pidfd, active);
		register_as_standby(header, self);
		lives = !mount_is_gone(shim->fuse_fd);
	}
	close(pidfd);
	return lives && !mount_is_gone(shim->fuse_fd);
}

bool standby_wait(struct shim *shim, uint64_t *ended_at)
{
	struct fsmvp_header *header = shim->region.header;
	uint64_t self = fsmvp_process_id(getpid());

	for (;;) {
		uint64_t active = fsmvp_load_acquire(&header->active);

		register_as_standby(header, self);
		if (!await_end(shim, active, self))
			return false;
		*ended_at = fsmvp_now();
		KILL_POINT("standby.ended");
		if (fsmvp_cas(&header->active, active, self))
			break;
	}
	KILL_POINT("takeover.claimed");
	fsmvp_cas(&header->standby, self, 0);
	fsmvp_store_relaxed(&header->answered, 0);
	fsmvp_store_release(&header->heartbeat, *ended_at);
	fsmvp_add_release(&header->epoch, 1);
	KILL_POINT("takeover.epoch");
	return true;
}
