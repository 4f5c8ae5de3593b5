/* SPDX-License-Identifier: MIT
 *
 * Answers requests that control completed. The completion thread; waits for nothing. A read whose bytes the page cache
 * lacks goes to a disk thread, other reads are sent by reply.c. The caller has taken the request from the ring, so no
 * other thread answers it.
 *
 * The question is taken from the shim's own copy; control's answer is read once and checked. Nothing is kept here. */
#include "request/request.h"
#include "bytes/bytes.h"
#include "bytes/disk.h"
#include "life/base.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <string.h>

/* The kernel takes no other error, and would keep the request. */
#define ERROR_MAX 511

static void answer_error(struct shim *shim, struct row row, fuse_req_t request, int error)
{
	reply_refuse(shim, row, FSMVP_DONE, request, error);
}

static void answer_attributes(struct shim *shim, struct row row, fuse_req_t request)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	struct fsmvp_attr attr = shim->region.slots[row.index].attr;
	struct fuse_entry_param param;

	if (!attr_to_entry(&attr, &param) || (entry->op == FSMVP_OP_GETATTR && attr.node != entry->node)) {
		HOSTILE(&shim->region, "attributes");
		answer_error(shim, row, request, EIO);
		return;
	}
	if (entry->op == FSMVP_OP_LOOKUP)
		fuse_reply_entry(request, &param);
	else
		fuse_reply_attr(request, &param.attr, param.attr_timeout);
	reply_finish(shim, row, FSMVP_DONE);
}

/* Copies the slot's payload, for control could change it between a check and its use. Its length, or -EPROTO. */
static ssize_t copy_payload(struct shim *shim, struct row row, uint8_t into[FSMVP_LISTING_SIZE])
{
	const struct region *region = &shim->region;
	uint32_t length = fsmvp_load_relaxed32(&region->slots[row.index].length);

	if (length <= FSMVP_PAYLOAD_SIZE) {
		memcpy(into, region->payload + (size_t)row.index * FSMVP_PAYLOAD_SIZE, length);
	} else if (length <= FSMVP_LISTING_SIZE && row.index < FSMVP_SLOTS_RESERVED) {
		memcpy(into, region->listings + (size_t)row.index * FSMVP_LISTING_SIZE, length);
		fsmvp_store_relaxed(&shim->ring.entries[row.index].listed_at, fsmvp_now());
	} else {
		return -EPROTO;
	}
	return length;
}

/* The reply is made in the front of the buffer, from a copy of the records in its end. */
static void answer_listing(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	const uint32_t room = FSMVP_READ_MAX - FSMVP_LISTING_SIZE;
	ssize_t length, used = -EPROTO;

	buffer_enter(buffer);
	length = copy_payload(shim, row, buffer->bytes + room);
	if (length >= 0)
		used = listing_convert(buffer->bytes + room, (size_t)length, entry->offset, entry->plus,
				       buffer->bytes, entry->size < room ? entry->size : room);
	if (used == -EPROTO)
		HOSTILE(&shim->region, "a listing");
	if (used < 0) {
		answer_error(shim, row, request, used == -EINVAL ? EINVAL : EIO);
	} else {
		fuse_reply_buf(request, (const char *)buffer->bytes, (size_t)used);
		reply_finish(shim, row, FSMVP_DONE);
	}
	buffer_leave(buffer);
}

/* READLINK, GETXATTR, LISTXATTR: bytes as control wrote them. */
static void answer_text(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	ssize_t length;

	buffer_enter(buffer);
	length = copy_payload(shim, row, buffer->bytes);
	if (length > (ssize_t)FSMVP_PAYLOAD_SIZE)
		length = -EPROTO;
	if (length >= 0 && entry->op == FSMVP_OP_READLINK &&
	    (length == 0 || length == (ssize_t)FSMVP_PAYLOAD_SIZE ||
	     memchr(buffer->bytes, '\0', (size_t)length)))
		length = -EPROTO;
	if (length < 0) {
		HOSTILE(&shim->region, "a link's target or an extended attribute");
		answer_error(shim, row, request, EIO);
	} else if (entry->op == FSMVP_OP_READLINK) {
		buffer->bytes[length] = '\0';
		fuse_reply_readlink(request, (const char *)buffer->bytes);
		reply_finish(shim, row, FSMVP_DONE);
	} else if (entry->size == 0) {
		fuse_reply_xattr(request, (size_t)length);
		reply_finish(shim, row, FSMVP_DONE);
	} else if ((size_t)length > entry->size) {
		answer_error(shim, row, request, ERANGE);
	} else {
		fuse_reply_buf(request, (const char *)buffer->bytes, (size_t)length);
		reply_finish(shim, row, FSMVP_DONE);
	}
	buffer_leave(buffer);
}

static void answer_open(struct shim *shim, struct row row, fuse_req_t request)
{
	uint64_t id = shim->ring.entries[row.index].handle;
	bool drops = fsmvp_load_relaxed32(&shim->region.slots[row.index].length) & FSMVP_OPEN_DROPS_PAGES;
	struct fuse_file_info file = {.fh = id, .keep_cache = !drops};
	uint64_t lease = fsmvp_load_relaxed(&shim->region.slots[row.index].lease);
	struct lease_view view;

	if (lease_view(&shim->region, shim->leases.root_count, lease, &view) == -EPROTO) {
		WRONG(&shim->region, "the lease of an open file");
		lease = 0;
	}
	if (!handle_open(&shim->handles, id, lease)) {
		answer_error(shim, row, request, EIO);
		return;
	}
	/* ENOENT changes nothing: the kernel waits for each request it handed out, so it only says "answered
	 * already". */
	KILL_POINT("reply.opened");
	fuse_reply_open(request, &file);
	reply_finish(shim, row, FSMVP_DONE);
}

static void answer_read(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	const struct fsmvp_slot *slot = &shim->region.slots[row.index];
	uint32_t length = fsmvp_load_relaxed32(&slot->length);
	uint64_t lease = fsmvp_load_relaxed(&slot->lease);
	uint64_t how = lease_vouched(fsmvp_load_relaxed32(&slot->window_generation));
	struct fsmvp_handle *handle = handle_find(&shim->handles, entry->handle);
	ssize_t got;

	if (lease == 0 && handle)
		lease = fsmvp_load_acquire(&handle->lease);
	if (length > entry->size) {
		HOSTILE(&shim->region, "a read longer than asked");
		answer_error(shim, row, request, EIO);
		return;
	}
	if (handle && fsmvp_load_relaxed(&handle->length) == 0)
		handle_learn(handle, lease_length(&shim->leases, lease, entry->node));
	if (length == 0) {
		reply_read(shim, row, FSMVP_DONE, request, NULL, 0);
		return;
	}
	buffer_enter(buffer);
	got = lease_read(&shim->leases, lease, entry->node, entry->offset, length, how, 0, buffer->bytes);
	if (got == -EBADF)
		WRONG(&shim->region, "another file's lease for a read");
	if (got == (ssize_t)length)
		reply_read(shim, row, FSMVP_DONE, request, buffer->bytes, length);
	buffer_leave(buffer);
	if (got == -EAGAIN)
		disk_hand(shim, row, request, lease, length);
	else if (got != (ssize_t)length)
		reply_unread(shim, row, FSMVP_DONE, request, got);
}

void answer_done(struct shim *shim, struct row row, fuse_req_t request, struct buffer *buffer)
{
	enum fsmvp_op op = (enum fsmvp_op)shim->ring.entries[row.index].op;
	int32_t error = (int32_t)fsmvp_load_relaxed32((const uint32_t *)&shim->region.slots[row.index].error);

	ring_begin(&shim->ring, row.index);
	KILL_POINT("reply.begun");
	if (error > 0 || error < -ERROR_MAX) {
		HOSTILE(&shim->region, "an error number");
		error = -EIO;
	}
	if (error != 0) {
		answer_error(shim, row, request, -error);
		return;
	}
	switch (op) {
	case FSMVP_OP_LOOKUP:
	case FSMVP_OP_GETATTR:
		answer_attributes(shim, row, request);
		return;
	case FSMVP_OP_READDIR:
		answer_listing(shim, row, request, buffer);
		return;
	case FSMVP_OP_OPEN:
		answer_open(shim, row, request);
		return;
	case FSMVP_OP_READLINK:
	case FSMVP_OP_GETXATTR:
	case FSMVP_OP_LISTXATTR:
		answer_text(shim, row, request, buffer);
		return;
	case FSMVP_OP_READ:
	default:
		answer_read(shim, row, request, buffer);
	}
}
