/* SPDX-License-Identifier: MIT
 *
 * Bytes without Swift: what a lease says, checked, and reading from its file. Workers and the completion
 * thread come without waiting for a disk; disk threads with LEASE_MAY_BLOCK wait. No lock.
 *
 * Every field of a lease row is control's and may be anything: it is copied between two looks at the
 * generation, then checked. Bytes of a window are window.c's.
 */
#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define BLOCK_SHIFT_MIN 12u
#define BLOCK_SHIFT_MAX 30u

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
	    .files = calloc(SHIM_LEASE_FILES, sizeof(struct lease_file)),
	    .table = calloc(FSMVP_LEASES, sizeof(uint32_t)),
	};
	if (!leases->files || !leases->table)
		return -ENOMEM;
	memcpy(leases->roots, roots, root_count * sizeof(int));
	for (uint32_t i = 0; i < root_count; i++)
		leases->window_bytes[i] = window_bytes(roots[i]);
	return 0;
}

bool lease_is_current(const struct leases *leases, uint64_t id)
{
	return fsmvp_load_acquire32(&leases->region->leases[fsmvp_low(id)].generation) ==
	       fsmvp_generation(id);
}

static bool name_is_safe(const char *name, uint32_t length)
{
	return length > 0 && length <= FSMVP_LEASE_NAME && name[0] != '.' && !memchr(name, '/', length) &&
	       !memchr(name, '\0', length);
}

/* Blocks of a file of that length, without overflow. */
static uint64_t block_count(uint64_t length, uint32_t shift)
{
	return (length >> shift) + ((length & ((UINT64_C(1) << shift) - 1)) != 0);
}

/* What the flags say of the other fields. */
static bool is_sound(const struct lease_view *view, uint32_t flags, uint32_t name_length, uint32_t map_words)
{
	uint64_t blocks = block_count(view->length, view->block_shift);

	if (flags == FSMVP_LEASE_WINDOW)
		return view->block_shift == FSMVP_WINDOW_SHIFT && name_length == 0 && blocks <= map_words;
	return flags == 0 && name_is_safe(view->name, name_length) && blocks <= (uint64_t)map_words * 64;
}

int lease_view(const struct region *region, uint32_t roots, uint64_t id, struct lease_view *view)
{
	uint32_t index = fsmvp_low(id), generation = fsmvp_generation(id), name_length, map_words, flags;
	const struct fsmvp_lease *row;
	uint64_t map_offset;

	if (id == 0)
		return -ESTALE;
	if (index >= FSMVP_LEASES || generation == 0 || (generation & 1))
		return -EPROTO;
	row = &region->leases[index];
	if (fsmvp_load_acquire32(&row->generation) != generation)
		return -ESTALE;
	view->id = id;
	view->root = fsmvp_load_relaxed32(&row->root);
	view->node = fsmvp_load_relaxed(&row->node);
	view->length = fsmvp_load_relaxed(&row->length);
	view->block_shift = fsmvp_load_relaxed32(&row->block_shift);
	map_offset = fsmvp_load_relaxed(&row->map_offset);
	map_words = fsmvp_load_relaxed32(&row->map_words);
	flags = fsmvp_load_relaxed32(&row->flags);
	name_length = fsmvp_load_relaxed32(&row->name_length);
	memcpy(view->name, row->name, FSMVP_LEASE_NAME);
	fsmvp_fence_acquire();
	if (fsmvp_load_relaxed32(&row->generation) != generation)
		return -ESTALE;

	if (view->root >= roots || view->node == 0 || view->length > INT64_MAX ||
	    view->block_shift < BLOCK_SHIFT_MIN || view->block_shift > BLOCK_SHIFT_MAX)
		return -EPROTO;
	if (map_offset % sizeof(uint64_t) != 0 || map_offset > FSMVP_MAP_BYTES ||
	    map_words > (FSMVP_MAP_BYTES - map_offset) / sizeof(uint64_t) ||
	    !is_sound(view, flags, name_length, map_words))
		return -EPROTO;
	view->window = flags == FSMVP_LEASE_WINDOW;
	view->name[name_length] = '\0';
	view->map = region->maps + map_offset / sizeof(uint64_t);
	view->map_words = map_words;
	return 0;
}

/* Are the blocks of [from, end) there? Bounds were checked by lease_view; end <= length. */
bool lease_present(const struct lease_view *view, uint64_t from, uint64_t end)
{
	uint64_t first, last;

	if (from >= end)
		return true;
	if (end > view->length)
		return false;
	first = from >> view->block_shift;
	last = (end - 1) >> view->block_shift;
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t wanted = UINT64_MAX;

		if (word == first / 64)
			wanted &= UINT64_MAX << first % 64;
		if (word == last / 64)
			wanted &= UINT64_MAX >> (63 - last % 64);
		if ((fsmvp_load_acquire(&view->map[word]) & wanted) != wanted)
			return false;
	}
	return true;
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
			return errno == ENODATA ? -EIO : -errno; /* what some disks call a bad sector */
	}
	return (ssize_t)got;
}

ssize_t lease_read(struct leases *leases, uint64_t id, uint64_t node, uint64_t offset, uint32_t size,
		   unsigned how, uint32_t thread, uint8_t *into)
{
	struct lease_view view;
	struct lease_file *file;
	ssize_t got;
	int error = lease_view(leases->region, leases->root_count, id, &view);

	if (error == 0 && view.node != node)
		error = -EPROTO;
	if (error == -EPROTO)
		HOSTILE(leases->region, "a lease");
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
			HOSTILE(leases->region, "a place of the window");
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
	lease_file_put(file);
	return got;
}
