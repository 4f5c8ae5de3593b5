/* SPDX-License-Identifier: MIT
 *
 * A shim without a control plane: after `orphan_timeout` requests that wait for one are answered EIO, and
 * once no file is open the mount is taken away, with which all its shims end. Link thread, at its ticks;
 * waits for fusermount3 if root is not to be had. Its only state is how long it has been alone, which is the link
 * thread's.
 */
#include "life/base.h"
#include "life/life.h"
#include "mount/mount.h"
#include "request/request.h"
#include "shim.h"

#include <stdlib.h>

#define TRY_MS 5000

static bool has_open_handles(const struct handles *handles)
{
	for (uint64_t i = 0; i < fsmvp_load_acquire(&handles->high); i++) {
		uint32_t state = fsmvp_low(fsmvp_load_acquire(&handles->region->handles[i].word));

		if (state == FSMVP_HANDLE_OPENING || state == FSMVP_HANDLE_OPEN)
			return true;
	}
	return false;
}

/* The mount at our path may be another one's by now. */
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

static uint64_t alone_ms; /* counted in our own ticks: a machine that slept was not waiting */

void orphan_adopted(struct shim *shim)
{
	alone_ms = 0;
	if (fsmvp_exchange(&shim->orphaned, 0) != 0)
		log_write(LOG_NOTICE, "a control plane has come: requests wait for it again");
}

void orphan_tick(struct shim *shim, bool is_linked, uint32_t tick_ms)
{
	static uint64_t next_try_ms;

	if (is_linked)
		return;
	alone_ms += tick_ms;
	/* The first tick may come at once: one more than the time has. */
	if (alone_ms <= shim->options.orphan_timeout_ms)
		return;
	if (fsmvp_exchange(&shim->orphaned, 1) == 0) {
		log_write(LOG_ERROR,
			  "no control plane for %u s: what waits for one is answered with an error",
			  shim->options.orphan_timeout_ms / 1000);
		next_try_ms = 0;
	}
	canceller_wake(shim, true);
	if (alone_ms < next_try_ms || has_open_handles(&shim->handles) || !mount_is_ours(shim))
		return;
	/* An attempt that fails is repeated later. */
	next_try_ms = alone_ms + TRY_MS;
	log_write(LOG_NOTICE, "no file is open: unmounting");
	mount_undo(shim->mountpoint);
}
