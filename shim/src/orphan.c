/* SPDX-License-Identifier: MIT
 *
 * A shim that nobody adopts: after `orphan_timeout` without a control plane what waits for one is answered EIO,
 * and once no file is open the mount is taken away, with which all its shims end. Link thread, at its ticks;
 * waits for fusermount3 where root is not to be had.
 */
#include "shim.h"

#include <stdlib.h>

static bool has_open_handles(const struct handles *handles)
{
	for (uint64_t i = 0; i < fsmvp_load_acquire(&handles->high); i++) {
		uint32_t state = fsmvp_low(fsmvp_load_acquire(&handles->region->handles[i].word));

		if (state == FSMVP_HANDLE_OPENING || state == FSMVP_HANDLE_OPEN)
			return true;
	}
	return false;
}

/* What lies on our path may be somebody else's mount by now. */
static bool mount_is_ours(const struct shim *shim)
{
	uint64_t connection = fsmvp_load_relaxed(&shim->region.header->connection);
	char *text = read_file("/proc/self/mountinfo");
	uint32_t major, minor;
	bool ours = text && mountinfo_find(text, shim->mountpoint, &major, &minor) && major == 0 &&
		    minor == connection;

	free(text);
	return ours;
}

void orphan_tick(struct shim *shim, bool is_linked, uint32_t tick_ms)
{
	static uint64_t alone_ms; /* counted in our own ticks: a machine that slept was not waiting */
	static bool tried;

	alone_ms = is_linked ? 0 : alone_ms + tick_ms;
	/* The first tick may come at once: one more than the time has. */
	if (alone_ms <= shim->options.orphan_timeout_ms) {
		fsmvp_store_release(&shim->orphaned, 0);
		return;
	}
	if (fsmvp_exchange(&shim->orphaned, 1) == 0) {
		log_write(LOG_ERROR,
			  "no control plane for %u s: what waits for one is answered with an error",
			  shim->options.orphan_timeout_ms / 1000);
		tried = false;
	}
	canceller_wake(shim, true);
	if (has_open_handles(&shim->handles) || tried || !mount_is_ours(shim))
		return;
	tried = true;
	log_write(LOG_NOTICE, "no file is open: unmounting");
	mount_undo(shim->mountpoint);
}
