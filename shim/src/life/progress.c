/* SPDX-License-Identifier: MIT
 *
 * Whether the shim gets on, for its heartbeat. Workers and the completion thread say when they begin and when they wait
 * for something to do; the link thread looks at each beat. No lock, waits for nothing.
 *
 * A thread that waits for the kernel or for its bell is well. A worker that is stuck in one request is not, but the
 * others serve; if none of them waits or has ended anything since the last look, nothing is served any more. The
 * figures are members of struct shim, each written by its own thread alone. */
#include "life/life.h"

static bool gets_on(const struct progress *progress, uint64_t *seen)
{
	uint64_t steps = fsmvp_load_acquire(&progress->steps);
	bool moved = steps != *seen;

	*seen = steps;
	return moved || fsmvp_load_acquire(&progress->busy) == 0;
}

bool progress_is_made(const struct progress *workers, uint32_t count, const struct progress *completion,
		      struct progress_seen *seen)
{
	bool some = false;

	/* Each is looked at, so that the next look compares with this one. */
	for (uint32_t i = 0; i < count; i++)
		some |= gets_on(&workers[i], &seen->workers[i]);
	return gets_on(completion, &seen->completion) && some;
}
