/* SPDX-License-Identifier: MIT
 *
 * Answers to what control completed. The completion thread, and disk threads for reads; waits for nothing (a
 * reply is a copy in the kernel). Who calls has taken the request from the ring, so nobody else answers it.
 *
 * What was asked is taken from the shim's own copy, what control answered is read once and checked. After the
 * reply the row is FREE.
 */
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <string.h>

/* The kernel takes no other error, and would keep the request. */
#define ERROR_MAX 511

static void finish(struct shim *shim, struct row row, uint32_t from)
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

static void answer_error(struct shim *shim, struct row row, fuse_req_t request, int error)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];

	if (entry->op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, entry->handle);
	KILL_POINT("reply.refused");
	fuse_reply_err(request, error);
	finish(shim, row, FSMVP_DONE);
}

static void answer_attributes(struct shim *shim, struct row row, fuse_req_t request)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_attr attr = shim->region.slots[row.index].attr;
	struct fuse_entry_param param = {
	    .ino = attr.node,
	    .generation = 1,
	    .attr_timeout = SHIM_FOREVER,
	    .entry_timeout = SHIM_FOREVER,
	};

	if (!attr_to_stat(&attr, &param.attr) ||
	    (entry->op == FSMVP_OP_GETATTR && attr.node != entry->node)) {
		HOSTILE(&shim->region, "attributes");
		answer_error(shim, row, request, EIO);
		return;
	}
	if (entry->op == FSMVP_OP_LOOKUP)
		fuse_reply_entry(request, &param);
	else
		fuse_reply_attr(request, &param.attr, SHIM_FOREVER);
	finish(shim, row, FSMVP_DONE);
}

static void answer_listing(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	const struct fsmvp_slot *slot = &shim->region.slots[row.index];
	uint32_t length = fsmvp_load_relaxed32(&slot->length);
	/* Copied: control could change a record between the check and the use. */
	uint8_t records[FSMVP_PAYLOAD_SIZE];
	ssize_t used = -EPROTO;

	buffer_enter(buffer);
	if (length <= sizeof(records)) {
		memcpy(records, shim->region.payload + (size_t)row.index * FSMVP_PAYLOAD_SIZE, length);
		used = listing_convert(records, length, entry->offset, fsmvp_load_relaxed(&slot->arg2) != 0,
				       buffer->bytes, entry->size);
	}
	if (used == -EPROTO)
		HOSTILE(&shim->region, "a listing");
	if (used < 0) {
		answer_error(shim, row, request, used == -EINVAL ? EINVAL : EIO);
	} else {
		fuse_reply_buf(request, (const char *)buffer->bytes, (size_t)used);
		finish(shim, row, FSMVP_DONE);
	}
	buffer_leave(buffer);
}

static void answer_open(struct shim *shim, struct row row, fuse_req_t request)
{
	uint64_t id = shim->ring.entries[row.index].handle;
	struct fsmvp_handle *handle = &shim->region.handles[fsmvp_low(id)];
	struct fuse_file_info file = {.fh = id, .keep_cache = 1};
	uint64_t lease = fsmvp_load_relaxed(&shim->region.slots[row.index].lease);
	struct lease_view view;

	if (lease_view(&shim->region, shim->leases.root_count, lease, &view) == -EPROTO) {
		HOSTILE(&shim->region, "the lease of an open file");
		lease = 0;
	}
	fsmvp_store_release(&handle->lease, lease);
	KILL_POINT("reply.leased");
	/* OPEN already: a shim that died had got so far, and maybe did not answer. */
	if (!handle_step(&shim->handles, id, FSMVP_HANDLE_OPENING, FSMVP_HANDLE_OPEN) &&
	    !handle_find(&shim->handles, id)) {
		answer_error(shim, row, request, EIO);
		return;
	}
	/* ENOENT changes nothing: the kernel waits for each request it handed out, so it only says "answered
	 * already". */
	KILL_POINT("reply.opened");
	fuse_reply_open(request, &file);
	finish(shim, row, FSMVP_DONE);
}

void reply_read(struct shim *shim, struct row row, uint32_t from, fuse_req_t request, const uint8_t *bytes,
		size_t length)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_handle *handle = handle_find(&shim->handles, entry->handle);

	/* Before the reply: who closes after it finds the whole sum. */
	if (handle)
		handle_account(handle, entry->offset, length);
	if (from == FSMVP_LOCAL) {
		fsmvp_add_relaxed(&shim->region.header->count_leased, 1);
		fsmvp_add_relaxed(&shim->region.header->bytes_leased, length);
	}
	fuse_reply_buf(request, (const char *)bytes, length);
	finish(shim, row, from);
}

/* The bytes vouched for cannot be read. Control drops those blocks and fetches again; the second time it is
 * EIO. A block that has left the window (a successor of control cleared its map) was never bad: that is not
 * counted, so no number of deaths makes an error of it. */
void reply_bad(struct shim *shim, struct row row, fuse_req_t request, ssize_t why)
{
	struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_slot *slot = &shim->region.slots[row.index];
	bool gone = why == -ENODATA;

	if (entry->bad && !gone) {
		log_write(LOG_ERROR, "node %llu: %u bytes at %llu could not be read from the cache twice",
			  (unsigned long long)entry->node, entry->size, (unsigned long long)entry->offset);
		answer_error(shim, row, request, EIO);
		return;
	}
	if (!gone) {
		entry->bad = 1;
		slot->flags |= FSMVP_SLOT_BAD;
	}
	slot->length = 0;
	slot->lease = 0;
	slot->submitted_at = fsmvp_now();
	if (!ring_step(&shim->ring, row, FSMVP_DONE, FSMVP_SUBMITTED)) {
		fuse_reply_err(request, EIO);
		return;
	}
	KILL_POINT("bad.submitted");
	/* Back only now: in DONE another thread would take it. Who passed by and found nothing looks again at
	 * the bell. */
	ring_put(&shim->ring, row.index, request);
	bell_ring(shim->control_bell);
	bell_ring(shim->shim_bell);
}

static void answer_read(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	const struct fsmvp_slot *slot = &shim->region.slots[row.index];
	uint32_t length = fsmvp_load_relaxed32(&slot->length);
	uint64_t lease = fsmvp_load_relaxed(&slot->lease);
	struct fsmvp_handle *handle = handle_find(&shim->handles, entry->handle);
	ssize_t got;

	if (lease == 0 && handle)
		lease = fsmvp_load_acquire(&handle->lease);
	if (length > entry->size) {
		HOSTILE(&shim->region, "a read longer than asked");
		answer_error(shim, row, request, EIO);
		return;
	}
	if (length == 0) {
		reply_read(shim, row, FSMVP_DONE, request, NULL, 0);
		return;
	}
	buffer_enter(buffer);
	got = lease_read(&shim->leases, lease, entry->node, entry->offset, length, LEASE_VOUCHED, 0,
			 buffer->bytes);
	if (got == (ssize_t)length)
		reply_read(shim, row, FSMVP_DONE, request, buffer->bytes, length);
	buffer_leave(buffer);
	if (got == -EAGAIN)
		disk_hand(shim, row, request, lease, length);
	else if (got != (ssize_t)length)
		reply_bad(shim, row, request, got);
}

void reply_done(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	uint32_t op = shim->ring.entries[row.index].op;
	int32_t error = (int32_t)fsmvp_load_relaxed32((const uint32_t *)&shim->region.slots[row.index].error);

	if (error > 0 || error < -ERROR_MAX) {
		HOSTILE(&shim->region, "an error number");
		error = -EIO;
	}
	if (error != 0)
		answer_error(shim, row, request, -error);
	else if (op == FSMVP_OP_LOOKUP || op == FSMVP_OP_GETATTR)
		answer_attributes(shim, row, request);
	else if (op == FSMVP_OP_READDIR)
		answer_listing(shim, row, request, buffer);
	else if (op == FSMVP_OP_OPEN)
		answer_open(shim, row, request);
	else
		answer_read(shim, row, request, buffer);
}
