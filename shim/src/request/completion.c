/* SPDX-License-Identifier: MIT
 *
 * The completion thread: at each ring of the shim's doorbell it walks the ring and answers what control
 * completed. Waits for the bell alone. A walk answers every metadata row it finds DONE before it ends:
 * invalidations count on it.
 */
#include "request/request.h"
#include "life/base.h"
#include "life/life.h"
#include "link/link.h"
#include "shim.h"

#include <unistd.h>

static void walk_row(struct shim *shim, uint32_t index, struct buffer *buffer, bool *cancelled)
{
	uint64_t *word = &shim->region.words[index];
	uint64_t seen = fsmvp_load_acquire(word);
	struct fuse_req *request;

	if (fsmvp_low(seen) >= FSMVP_SLOT_STATES)
		HOSTILE(&shim->region, "a slot's state");
	if (fsmvp_low(seen) == FSMVP_CANCEL_DONE)
		*cancelled = true;
	if (fsmvp_low(seen) != FSMVP_DONE)
		return;
	request = ring_take(&shim->ring, index);
	if (!request)
		return; /* a disk thread or the canceller has it, and rings after putting it back */
	/* The row may have gone round meanwhile. No other thread moves it on from DONE without its
	 * request. */
	seen = fsmvp_load_acquire(word);
	if (fsmvp_low(seen) == FSMVP_DONE) {
		answer_done(shim, (struct row){index, fsmvp_generation(seen)}, request, buffer);
		progress_step(&shim->progress[FSMVP_WORKERS_MAX]);
	} else {
		ring_put(&shim->ring, index, request);
		bell_ring(shim->shim_bell);
	}
}

void completion_walk(struct shim *shim, struct buffer *buffer)
{
	bool cancelled = false;

	invalidate_walk_begins(&shim->invalidator);
	for (uint32_t index = ring_next(&shim->ring, SHIM_NONE); index != SHIM_NONE;
	     index = ring_next(&shim->ring, index))
		walk_row(shim, index, buffer, &cancelled);
	invalidate_walk_ended(&shim->invalidator);
	forward_waiting(shim);
	if (cancelled)
		bell_ring(shim->canceller_bell); /* which frees the row, after its reply */
}

static void *completion_thread(void *argument)
{
	struct shim *shim = argument;
	struct progress *progress = &shim->progress[FSMVP_WORKERS_MAX];

	gate_pass();
	for (;;) {
		progress_rests(progress);
		gate_leave(&shim->completion_left);
		/* If it could not wait, there may be something all the same. */
		if (!bell_wait(shim->shim_bell, -1))
			usleep(1000);
		progress_begins(progress);
		standby_end_if_deposed(shim);
		completion_walk(shim, &shim->buffers[FSMVP_WORKERS_MAX]);
	}
	return NULL;
}

int completion_start(struct shim *shim)
{
	return thread_start("completion", completion_thread, shim);
}
