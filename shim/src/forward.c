/* SPDX-License-Identifier: MIT
 *
 * From a request in a receive buffer to a row of the ring. Workers (and disk threads by forward_row); waits
 * for nothing.
 *
 * The order of the stores is the journal's: the row is complete and LOCAL, then the receive buffer's len is
 * zeroed, then SUBMITTED. The other order lets the slot finish while the buffer still looks pending, and a
 * successor would replay the request as a new one.
 */
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

_Thread_local struct request current;

/* The reply went out: the request is in hand no more. */
void answered_inline(struct shim *shim, uint32_t op)
{
	KILL_POINT("inline.replied");
	fsmvp_store_release32(current.in_hand, 0);
	trace_answered(&shim->region);
	KILL_POINT("inline.cleared");
	trace_time(&shim->region, op, FSMVP_SEGMENT_LOCAL, current.taken_at, fsmvp_now());
}

static void refuse(struct shim *shim, fuse_req_t request, const struct ask *ask, int error)
{
	if (ask->op == FSMVP_OP_OPEN)
		handle_step(&shim->handles, ask->handle, FSMVP_HANDLE_FILLING, FSMVP_HANDLE_FREE);
	fuse_reply_err(request, error);
	answered_inline(shim, ask->op);
}

/* At how many deaths the request in the worker's receive buffer was in hand there; a replay has counted one that has not come. */
static uint32_t deaths_so_far(const struct fsmvp_header *header, uint64_t unique)
{
	return header->receive_unique[current.number] == unique ? header->receive_deaths[current.number] - 1
								: 0;
}

/* The canceller may look at two of these while they are written: its step fails then, as the word has moved
 * on. */
static void fill(struct shim *shim, struct row row, const struct ask *ask)
{
	struct fsmvp_slot *slot = &shim->region.slots[row.index];
	struct ring_entry *entry = &shim->ring.entries[row.index];
	const struct fuse_in_header *in = (const void *)current.raw;

	slot->op = ask->op;
	slot->flags = 0;
	slot->unique = in->unique;
	slot->node = ask->node;
	slot->handle = ask->handle;
	slot->arg0 = ask->arg0;
	slot->arg1 = ask->arg1;
	slot->arg2 = ask->arg2;
	slot->error = 0;
	slot->length = 0;
	slot->lease = 0;
	slot->replays = deaths_so_far(shim->region.header, in->unique);
	slot->pid = in->pid;
	fsmvp_store_relaxed(&slot->taken_at, current.taken_at);
	slot->submitted_at = 0;
	slot->picked_at = 0;
	slot->completed_at = 0;
	slot->replied_at = 0;
	slot->name_offset = ask->name ? (uint16_t)(ask->name - (const char *)current.raw) : 0;
	slot->name_length = (uint16_t)ask->name_length;
	slot->raw_length = current.length;
	memcpy(slot->raw, current.raw, current.length);
	ring_note(entry, ask, in->pid);
}

/* FREE -> FILLING -> LOCAL, and the receive buffer is free. False: the request was answered, there is no row.
 */
static bool take_row(struct shim *shim, fuse_req_t request, const struct ask *ask, struct row *row)
{
	if (current.length > FSMVP_RAW_SIZE) {
		refuse(shim, request, ask, EIO);
		return false;
	}
	if (!ring_claim(&shim->ring, ask->op, row)) {
		/* Not counted for READ alone: others come here only when the READ rows are full too. */
		fsmvp_add_relaxed(&shim->region.header->count_slots_full, 1);
		refuse(shim, request, ask, EIO);
		return false;
	}
	KILL_POINT("push.claimed");
	fill(shim, *row, ask);
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

void forward_row(struct shim *shim, struct row row, fuse_req_t request)
{
	ring_put(&shim->ring, row.index, request);
	if (!ring_submit(&shim->ring, row)) {
		request = ring_take(&shim->ring, row.index);
		if (request)
			fuse_reply_err(request, EIO);
		return;
	}
	canceller_wake(shim, false);
}

void forward(struct shim *shim, fuse_req_t request, const struct ask *ask)
{
	struct row row;

	if (take_row(shim, request, ask, &row))
		forward_row(shim, row, request);
}

void forward_to_disk(struct shim *shim, fuse_req_t request, const struct ask *ask, uint64_t lease)
{
	struct row row;

	if (take_row(shim, request, ask, &row))
		disk_hand(shim, row, request, lease, (uint32_t)ask->arg1);
}
