/* SPDX-License-Identifier: MIT
 *
 * Sends the reply of a request that is in a row of the ring, and frees the row: bytes of a read, or an error. A read
 * whose bytes could not be read goes back to control instead. The completion thread and disk threads; waits for nothing
 * (a reply is a copy in the kernel). The caller has taken the request from the ring, so no other thread answers it.
 *
 * The question is taken from the shim's own copy. After the reply the row is FREE. */
#include "request/request.h"
#include "bytes/bytes.h"
#include "life/base.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <string.h>

/* So often a read may find that the lease it was answered with has ended. */
#define STALE_TURNS 16u

void reply_finish(struct shim *shim, struct row row, uint32_t from)
{
	struct fsmvp_slot *slot = &shim->region.slots[row.index];
	uint32_t op = shim->ring.entries[row.index].op;
	uint64_t now = fsmvp_now();

	KILL_POINT("reply.sent");
	trace_answered(&shim->region);
	slot->replied_at = now;
	if (from == FSMVP_LOCAL) {
		trace_time(&shim->region, op, FSMVP_SEGMENT_LOCAL, slot->taken_at, now);
	} else {
		trace_time(&shim->region, op, FSMVP_SEGMENT_REPLY, slot->completed_at, now);
		trace_time(&shim->region, op, FSMVP_SEGMENT_TOTAL, slot->taken_at, now);
	}
	ring_free(&shim->ring, row, from);
	KILL_POINT("reply.freed");
}

void reply_refuse(struct shim *shim, struct row row, uint32_t from, fuse_req_t request, int error)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];

	if (entry->op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, entry->handle);
	KILL_POINT("reply.refused");
	fuse_reply_err(request, error);
	reply_finish(shim, row, from);
}

bool read_is_whole(uint64_t offset, uint64_t asked, uint64_t got, uint64_t length)
{
	if (got == asked)
		return true;
	if (got > asked)
		return false;
	/* If no lease has told the length, the volume has no bytes to read. */
	return length == 0 ? got == 0 : offset >= length || got >= length - offset;
}

void reply_count_short(const struct region *region, uint64_t node, uint64_t offset, uint64_t asked,
		       uint64_t got)
{
	if (trace_count(&region->header->count_short))
		log_write(
		    LOG_ERROR,
		    "node %llu: %llu bytes at %llu were asked for and only %llu are there to answer with, "
		    "which is not the end of the file: it is answered EIO (%llu so far)",
		    (unsigned long long)node, (unsigned long long)asked, (unsigned long long)offset,
		    (unsigned long long)got,
		    (unsigned long long)fsmvp_load_relaxed(&region->header->count_short));
}

void reply_read(struct shim *shim, struct row row, uint32_t from, fuse_req_t request, const uint8_t *bytes,
		size_t length)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_handle *handle = handle_find(&shim->handles, entry->handle);

	if (!read_is_whole(entry->offset, entry->size, length,
			   handle ? fsmvp_load_relaxed(&handle->length) : 0)) {
		reply_count_short(&shim->region, entry->node, entry->offset, entry->size, length);
		reply_refuse(shim, row, from, request, EIO);
		return;
	}
	/* Before the reply: a caller that closes after it finds the whole sum. */
	if (handle)
		handle_account(handle, entry->offset, length);
	if (from == FSMVP_LOCAL) {
		fsmvp_add_relaxed(&shim->region.header->count_leased, 1);
		fsmvp_add_relaxed(&shim->region.header->bytes_leased, length);
	}
	fuse_reply_buf(request, (const char *)bytes, length);
	reply_finish(shim, row, from);
}

/* Control has to answer again. If the bytes are `lost` it drops those blocks and fetches them again; the second time it
 * is EIO. A block that has left the window (a successor of control cleared its map), and a lease that ended meanwhile,
 * say nothing against the bytes: no number of deaths makes an error of it. */
static void give_back(struct shim *shim, struct row row, fuse_req_t request, bool lost)
{
	struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_slot *slot = &shim->region.slots[row.index];

	if (entry->bad && lost) {
		log_write(LOG_ERROR, "node %llu: %u bytes at %llu could not be read from the cache twice",
			  (unsigned long long)entry->node, entry->size, (unsigned long long)entry->offset);
		reply_refuse(shim, row, FSMVP_DONE, request, EIO);
		return;
	}
	if (lost) {
		entry->bad = 1;
		fsmvp_or_release32(&slot->flags, FSMVP_SLOT_BAD);
	}
	slot->length = 0;
	slot->lease = 0;
	slot->submitted_at = fsmvp_now();
	ring_hand_on(&shim->ring, row.index);
	if (!ring_step(&shim->ring, row, FSMVP_DONE, FSMVP_SUBMITTED)) {
		fuse_reply_err(request, EIO);
		return;
	}
	KILL_POINT("bad.submitted");
	/* The request goes back only now: in DONE another thread would take it. A thread that passed by and
	 * found nothing looks again at the bell. */
	ring_put(&shim->ring, row.index, request);
	bell_ring(shim->control_bell);
	bell_ring(shim->shim_bell);
}

void reply_unread(struct shim *shim, struct row row, uint32_t from, fuse_req_t request, ssize_t why)
{
	struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_header *header = shim->region.header;

	switch (lease_error(why)) {
	case LEASE_GONE:
		/* An answer that names an ended lease again and again is an answer for bytes that cannot be read. */
		give_back(shim, row, request, why == -ESTALE && ++entry->returns > STALE_TURNS);
		return;
	case LEASE_LOST:
		give_back(shim, row, request, true);
		return;
	case LEASE_WRONG:
		reply_refuse(shim, row, from, request, EIO);
		return;
	case LEASE_SHORTAGE:
		if (trace_count(&header->count_refused))
			log_write(LOG_ERROR,
				  "node %llu: its bytes in the cache cannot be opened (%s), so a read is "
				  "answered with "
				  "that error (%llu so far): raise the limit of open files (ulimit -n, "
				  "LimitNOFILE), "
				  "or see that the cache folder can be read",
				  (unsigned long long)entry->node, strerror((int)-why),
				  (unsigned long long)fsmvp_load_relaxed(&header->count_refused));
		reply_refuse(shim, row, from, request, (int)-why);
		return;
	}
}
