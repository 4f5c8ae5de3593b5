/* SPDX-License-Identifier: MIT
 *
 * Filling a row of the ring, and handing it to control. Workers, the completion thread, disk threads; a successor's
 * main thread. Waits for nothing. Nothing is kept here. */
#include "request/request.h"
#include "life/base.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

/* The canceller may look at two of these while they are written: its step fails then, as the word has moved
 * on. */
void submit_fill(struct shim *shim, struct row row, const struct ask *ask, const struct source *source)
{
	struct fsmvp_slot *slot = &shim->region.slots[row.index];
	struct ring_entry *entry = &shim->ring.entries[row.index];
	const struct fuse_in_header *in = (const void *)source->raw;

	slot->op = ask->op;
	slot->flags = source->flags;
	slot->unique = in->unique;
	slot->node = ask->node;
	slot->handle = ask->handle;
	slot->arg0 = ask->arg0;
	slot->arg1 = ask->arg1;
	slot->arg2 = ask->arg2;
	slot->error = 0;
	slot->length = 0;
	slot->lease = 0;
	fsmvp_store_relaxed32(&slot->replays, source->replays);
	ring_begin(&shim->ring, row.index);
	slot->pid = in->pid;
	fsmvp_store_relaxed(&slot->taken_at, source->taken_at);
	slot->submitted_at = 0;
	slot->picked_at = 0;
	slot->completed_at = 0;
	slot->replied_at = 0;
	slot->name_offset = ask->name ? (uint16_t)(ask->name - (const char *)source->raw) : 0;
	slot->name_length = (uint16_t)ask->name_length;
	slot->raw_length = source->length;
	memcpy(slot->raw, source->raw, source->length);
	ring_note(entry, ask, in->unique, in->pid);
	if (source->flags & FSMVP_SLOT_INTERRUPTED)
		ring_interrupt(&shim->ring, row.index, in->unique, fsmvp_now());
}

void submit_row(struct shim *shim, struct row row, fuse_req_t request)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];

	ring_hand_on(&shim->ring, row.index);
	ring_put(&shim->ring, row.index, request);
	if (!ring_submit(&shim->ring, row)) {
		request = ring_take(&shim->ring, row.index);
		if (!request)
			return;
		if (entry->op == FSMVP_OP_OPEN)
			handle_release(&shim->handles, entry->handle);
		fuse_reply_err(request, EIO);
		return;
	}
	canceller_wake(shim, false);
}
