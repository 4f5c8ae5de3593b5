/* SPDX-License-Identifier: MIT
 *
 * Bytes without Swift: reading from the file of a lease. Workers and the completion thread come without waiting for
 * a disk; disk threads with LEASE_MAY_BLOCK wait. No lock.
 *
 * The row of a lease is control's and may say anything: lease_view.c checks it. Bytes of a window are window.c's.
 * Nothing is kept here.
 */
#include "bytes/bytes.h"
#include "life/base.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* The size of a root that is a window: a regular file. */
static uint64_t window_bytes(int root)
{
	struct stat status;

	return fstat(root, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

int leases_open(struct leases *leases, const struct region *region, const int *roots, uint32_t root_count)
{
	if (root_count > SHIM_ROOTS_MAX)
		return -EINVAL;
	*leases = (struct leases){
	    .region = region,
	    .root_count = root_count,
	};
	if (lease_files_open(leases) != 0)
		return -ENOMEM;
	memcpy(leases->roots, roots, root_count * sizeof(int));
	for (uint32_t i = 0; i < root_count; i++)
		leases->window_bytes[i] = window_bytes(roots[i]);
	return 0;
}

/* Never waits for a disk; -EAGAIN instead, also for a short count. */
static ssize_t read_at_once(struct lease_file *file, uint64_t offset, uint32_t size, uint8_t *into)
{
	struct iovec part = {.iov_base = into, .iov_len = size};
	ssize_t got = -1;

	if (!fsmvp_load_relaxed(&file->plain)) {
		got = preadv2(file->fd, &part, 1, (off_t)offset, RWF_NOWAIT);
		if (got < 0 && errno == EOPNOTSUPP)
			fsmvp_store_relaxed(&file->plain, 1);
	}
	if (got < 0 && fsmvp_load_relaxed(&file->plain) && file->memory)
		got = preadv2(file->fd, &part, 1, (off_t)offset, 0);
	return got == (ssize_t)size ? got : -EAGAIN;
}

static ssize_t read_waiting(const struct lease_file *file, uint64_t offset, uint32_t size, uint8_t *into)
{
	uint32_t got = 0;

	while (got < size) {
		struct iovec part = {.iov_base = into + got, .iov_len = size - got};
		ssize_t count = preadv2(file->fd, &part, 1, (off_t)(offset + got), 0);

		if (count > 0)
			got += (uint32_t)count;
		else if (count == 0)
			return -EIO; /* shorter than its lease */
		else if (errno != EINTR)
			return lease_told(errno);
	}
	return (ssize_t)got;
}

ssize_t lease_read(struct leases *leases, uint64_t id, uint64_t node, uint64_t offset, uint32_t size,
		   uint64_t how, uint32_t thread, uint8_t *into)
{
	struct lease_view view;
	struct lease_file *file;
	ssize_t got;
	int error = lease_view(leases->region, leases->root_count, id, &view);

	if (error == 0 && view.node != node)
		error = -EBADF;
	if (error == -EPROTO)
		WRONG(leases->region, "a lease");
	if (error)
		return error;
	if (size > FSMVP_READ_MAX)
		return -EINVAL;
	if (offset >= view.length || size == 0)
		return 0;
	if (size > view.length - offset)
		size = (uint32_t)(view.length - offset);
	if (view.window) {
		got = window_read(leases, &view, offset, size, how, into);
		if (got == -EPROTO)
			WRONG(leases->region, "a frame of the window");
		return got;
	}
	if (!(how & LEASE_VOUCHED) && !lease_present(&view, offset, offset + size))
		return -ENODATA;
	file = lease_file_get(leases, id);
	if (!file) {
		if (!(how & LEASE_MAY_BLOCK))
			return -EAGAIN;
		file = lease_file_open(leases, &view, thread, &error);
		if (!file)
			return error;
	}
	got = how & LEASE_MAY_BLOCK ? read_waiting(file, offset, size, into)
				    : read_at_once(file, offset, size, into);
	lease_file_put(leases, file);
	/* Revoked meanwhile: these may be bytes that control has taken back. */
	return got >= 0 && !lease_is_current(leases, id) ? -ESTALE : got;
}
