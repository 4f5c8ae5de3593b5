/* SPDX-License-Identifier: MIT
 *
 * From a request in a receive buffer, or in a waiting row, to a row of the ring. Workers; the completion thread for
 * waiting rows. Waits for nothing.
 *
 * The order of the stores is the journal's: the row is complete and LOCAL, then the receive buffer's len is
 * zeroed, then SUBMITTED. The other order lets the slot finish while the buffer still looks pending, and a
 * successor would replay the request as a new one.
 */
#include "request/request.h"
#include "bytes/disk.h"
#include "life/base.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>

static void refuse(struct shim *shim, fuse_req_t request, const struct ask *ask, int error)
{
	if (ask->op == FSMVP_OP_OPEN)
		handle_step(&shim->handles, ask->handle, FSMVP_HANDLE_FILLING, FSMVP_HANDLE_FREE);
	fuse_reply_err(request, error);
	answered_inline(shim, ask->op);
}

/* At how many deaths the request in the worker's receive buffer was in hand there; a replay has counted one that has
 * not come. */
static uint32_t deaths_so_far(const struct fsmvp_header *header, uint64_t unique)
{
	return header->receive_unique[current.number] == unique ? header->receive_deaths[current.number] - 1
								: 0;
}

/* There is no slot for it: it waits for one, and the worker goes on. */
static void wait_for_slot(struct shim *shim, fuse_req_t request, const struct ask *ask, uint64_t lease,
			  const struct source *source)
{
	struct fsmvp_header *header = shim->region.header;

	if (waiting_put(shim, request, ask, lease, source)) {
		if (trace_count(&header->count_slots_full))
			log_write(LOG_WARNING,
				  "all slots for requests are in use: %llu requests have had to wait for one "
				  "so far",
				  (unsigned long long)fsmvp_load_relaxed(&header->count_slots_full));
		return;
	}
	if (trace_count(&header->count_refused))
		log_write(LOG_ERROR, "%u requests wait already: one more is answered EIO (%llu so far)",
			  FSMVP_WAITING, (unsigned long long)fsmvp_load_relaxed(&header->count_refused));
	refuse(shim, request, ask, EIO);
}

/* FREE -> FILLING -> LOCAL, and the receive buffer is free. False: the request was answered or waits, there is no row.
 */
static bool take_row(struct shim *shim, fuse_req_t request, const struct ask *ask, uint64_t lease,
		     struct row *row)
{
	const struct fuse_in_header *in = (const void *)current.raw;
	enum slot_kind kind = slot_kind(ask->op, lease);
	struct source source = {.raw = current.raw,
				.length = current.length,
				.replays = deaths_so_far(shim->region.header, in->unique),
				.taken_at = current.taken_at,
				.in_hand = current.in_hand};

	if (current.length > FSMVP_RAW_SIZE) {
		refuse(shim, request, ask, EIO);
		return false;
	}
	/* Behind those that wait already. */
	if (waiting_has(&shim->waiting, kind) || !ring_claim(&shim->ring, kind, row)) {
		wait_for_slot(shim, request, ask, lease, &source);
		return false;
	}
	KILL_POINT("push.claimed");
	submit_fill(shim, *row, ask, &source);
	KILL_POINT("push.filled");
	if (ask->op == FSMVP_OP_OPEN)
		handle_step(&shim->handles, ask->handle, FSMVP_HANDLE_FILLING, FSMVP_HANDLE_OPENING);
	KILL_POINT("push.opening");
	ring_step(&shim->ring, *row, FSMVP_FILLING, FSMVP_LOCAL);
	KILL_POINT("push.local");
	fsmvp_store_release32(current.in_hand, 0);
	KILL_POINT("push.cleared");
	return true;
}

/* A LOCAL row of this thread goes to a disk thread, if it is a read with a lease, else to control. */
static void forward_local(struct shim *shim, struct row row, fuse_req_t request, const struct ask *ask,
			  uint64_t lease)
{
	if (ask->op == FSMVP_OP_READ && lease != 0)
		disk_hand(shim, row, request, lease, (uint32_t)ask->arg1);
	else
		submit_row(shim, row, request);
}

void forward(struct shim *shim, fuse_req_t request, const struct ask *ask)
{
	struct row row;

	if (take_row(shim, request, ask, 0, &row))
		submit_row(shim, row, request);
}

void forward_to_disk(struct shim *shim, fuse_req_t request, const struct ask *ask, uint64_t lease)
{
	struct row row;

	if (take_row(shim, request, ask, lease, &row))
		forward_local(shim, row, request, ask, lease);
}

/* Moves the first of a queue, if there is a slot for it. */
static bool move_one(struct shim *shim, enum slot_kind kind)
{
	struct waiting_taken taken;
	struct row row;

	if (!waiting_has(&shim->waiting, kind) || !ring_claim(&shim->ring, kind, &row))
		return false;
	if (!waiting_take(&shim->waiting, kind, &taken)) {
		ring_free(&shim->ring, row, FSMVP_FILLING);
		return false;
	}
	submit_fill(shim, row, &taken.ask, &taken.source);
	ring_step(&shim->ring, row, FSMVP_FILLING, FSMVP_LOCAL);
	KILL_POINT("wait.local");
	/* Before the slot can be answered: a row that outlived it would be answered again. */
	waiting_moved(&shim->waiting, taken.index);
	KILL_POINT("wait.moved");
	forward_local(shim, row, taken.request, &taken.ask, taken.lease);
	return true;
}

void forward_waiting(struct shim *shim)
{
	for (int i = 0; i < SLOT_KINDS; i++) {
		while (move_one(shim, (enum slot_kind)i))
			;
	}
}
