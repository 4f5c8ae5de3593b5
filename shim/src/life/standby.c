/* SPDX-License-Identifier: MIT
 *
 * A shim that waits to take over: all is ready but for the claim. Main thread; waits for the active shim's end
 * (watch.c), with a tick in between for its heartbeat. It does not poll /dev/fuse, which would wake it at every
 * request. Also the look of an active shim at its own claim. */
#include "life/base.h"
#include "life/life.h"
#include "shim.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 500
#define LATE_NS UINT64_C(2000000000)

bool mount_is_gone(int fuse_fd)
{
	struct pollfd poll_fd = {.fd = fuse_fd};

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* Tells control its standby. Two at once do no harm: the claim decides. */
static void register_as_standby(struct fsmvp_header *header, uint64_t self)
{
	uint64_t seen = fsmvp_load_acquire(&header->standby);

	if (seen != self && fsmvp_process_life(seen) == FSMVP_LIFE_ENDED)
		fsmvp_cas(&header->standby, seen, self);
	KILL_POINT("standby.registered");
}

/* The heartbeat stood still for `ticks` of our own ticks in a row. A machine that was suspended gives one tick, however
 * long it slept, and a process that was stopped itself gives none for that time. */
struct pulse {
	uint64_t seen;
	uint64_t looked_at;
	uint32_t ticks;
	bool told;
};

static bool has_stopped(struct pulse *pulse, uint64_t heartbeat, uint32_t limit_ms)
{
	uint64_t now = fsmvp_now(), last = pulse->looked_at;

	pulse->looked_at = now;
	if (heartbeat != pulse->seen) {
		*pulse = (struct pulse){.seen = heartbeat, .looked_at = now};
		return false;
	}
	if (last != 0 && now - last > LATE_NS) {
		pulse->ticks = 0;
		return false;
	}
	return ++pulse->ticks >= (limit_ms + TICK_MS - 1) / TICK_MS;
}

/* At each tick until it has ended, and told once. */
static void end_hung(struct shim *shim, struct watch *watch, struct pulse *pulse)
{
	int error;

	if (!pulse->told)
		fsmvp_store_relaxed(&shim->region.header->killed_at, fsmvp_now());
	error = watch_kill(watch);
	if (pulse->told)
		return;
	pulse->told = true;
	log_write(LOG_ERROR, "the active shim (pid %u) gave no sign of life for %u ms: it is killed%s%s",
		  fsmvp_low(watch->identity), shim->options.shim_timeout_ms, error ? ", which failed: " : "",
		  error ? strerror(-error) : "");
}

enum outcome {
	ENDED,	 /* no thread of it runs any more */
	CHANGED, /* the header names another one */
	GONE,	 /* the mount is */
};

static enum outcome await_end(struct shim *shim, uint64_t active)
{
	struct fsmvp_header *header = shim->region.header;
	struct pulse pulse = {0};
	struct watch watch;
	enum outcome outcome = CHANGED;

	watch_begin(&watch, active);
	while (fsmvp_load_acquire(&header->active) == active) {
		bool ended = watch_wait(&watch, TICK_MS);

		if (ended || mount_is_gone(shim->fuse_fd)) {
			outcome = mount_is_gone(shim->fuse_fd) ? GONE : ENDED;
			break;
		}
		if (has_stopped(&pulse, fsmvp_load_acquire(&header->heartbeat),
				shim->options.shim_timeout_ms))
			end_hung(shim, &watch, &pulse);
		register_as_standby(header, shim->self);
	}
	watch_end(&watch);
	return outcome;
}

bool standby_wait(struct shim *shim, uint64_t *ended_at)
{
	struct fsmvp_header *header = shim->region.header;

	for (;;) {
		uint64_t active = fsmvp_load_acquire(&header->active);
		enum outcome outcome;

		register_as_standby(header, shim->self);
		outcome = await_end(shim, active);
		if (outcome == GONE)
			return false;
		if (outcome == CHANGED)
			continue;
		*ended_at = fsmvp_now();
		KILL_POINT("standby.ended");
		if (fsmvp_cas(&header->active, active, shim->self))
			break;
	}
	KILL_POINT("takeover.claimed");
	fsmvp_cas(&header->standby, shim->self, 0);
	fsmvp_store_relaxed(&header->answered, 0);
	fsmvp_store_release(&header->heartbeat, *ended_at);
	fsmvp_add_release(&header->epoch, 1);
	KILL_POINT("takeover.epoch");
	return true;
}

void standby_end_if_deposed(const struct shim *shim)
{
	if (fsmvp_load_acquire(&shim->region.header->active) != shim->self)
		_exit(0);
}
