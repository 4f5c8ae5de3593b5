/* SPDX-License-Identifier: MIT
 *
 * The completion thread: at each ring of the shim's doorbell it walks the ring and answers what control
 * completed. Waits for the bell alone. A walk answers every metadata row it finds DONE before it ends:
 * invalidations count on it.
 */
#include "shim.h"

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
		return; /* a disk thread or the canceller has it; who puts it back rings */
	/* The row may have gone round meanwhile. With its request in hand nobody moves it on from DONE. */
	seen = fsmvp_load_acquire(word);
	if (fsmvp_low(seen) == FSMVP_DONE) {
		reply_done(shim, (struct row){index, fsmvp_generation(seen)}, request, buffer);
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
	if (cancelled)
		bell_ring(shim->canceller_bell); /* which frees the row, after its reply */
}

static void *completion_thread(void *argument)
{
	struct shim *shim = argument;

	gate_pass();
	for (;;) {
		gate_leave(&shim->completion_left);
		if (bell_wait(shim->shim_bell, -1))
			completion_walk(shim, &shim->buffers[FSMVP_WORKERS_MAX]);
	}
	return NULL;
}

void completion_start(struct shim *shim)
{
	thread_start("completion", completion_thread, shim);
}
