/* SPDX-License-Identifier: MIT
 *
 * Bytes from the window: fsmvp_wire.h, WINDOW, the reader's side. Workers, completion and disk threads; no lock.
 * A read of a memfd waits for no disk (where a machine swaps, as any memory). Control may give a frame to another
 * block at any instant, so bytes count only after a second look. Nothing is kept here; when a frame was last used is
 * written into the region.
 */
#include "bytes/bytes.h"

#include <errno.h>
#include <unistd.h>

#define FRAME_BYTES (UINT64_C(1) << FSMVP_WINDOW_SHIFT)
/* Bits of a frame's row that say how far its last read went. */
#define PAGES_MASK UINT64_C(127)
/* The longest read begins within a block. */
#define BLOCKS_MAX (FSMVP_READ_MAX / FRAME_BYTES + 1)

/* A block that is not whole only for an answer that vouched for this use of its frame: in a later use, by a new
 * control plane, the bytes may not be there yet. */
static bool may_read(uint64_t word, uint64_t how)
{
	if (fsmvp_frame_number(word) == 0)
		return false;
	return fsmvp_frame_is_whole(word) ||
	       ((how & LEASE_VOUCHED) && !fsmvp_is_later(fsmvp_generation(word), fsmvp_generation(how)));
}

/* Bit 31 may be set meanwhile: more bytes of the same block. */
static bool is_same_use(uint64_t word, uint64_t now)
{
	return fsmvp_generation(word) == fsmvp_generation(now) &&
	       fsmvp_frame_number(word) == fsmvp_frame_number(now);
}

static int copy(int window, uint64_t from, uint64_t size, uint8_t *into)
{
	uint64_t got = 0;

	while (got < size) {
		ssize_t count = pread(window, into + got, size - got, (off_t)(from + got));

		if (count > 0)
			got += (uint64_t)count;
		else if (count == 0 || errno != EINTR)
			return -EIO; /* the frame is below the size, so 0 cannot be */
	}
	return 0;
}

ssize_t window_read(const struct leases *leases, const struct lease_view *view, uint64_t offset,
		    uint32_t size, uint64_t how, uint8_t *into)
{
	uint64_t frames = leases->window_bytes[view->root] / FRAME_BYTES;
	uint64_t first = offset >> FSMVP_WINDOW_SHIFT, end = offset + size, words[BLOCKS_MAX], now;
	uint32_t count = (uint32_t)(((end - 1) >> FSMVP_WINDOW_SHIFT) - first) + 1;

	if (frames > FSMVP_FRAMES)
		frames = FSMVP_FRAMES;
	for (uint32_t i = 0; i < count; i++) {
		words[i] = fsmvp_load_acquire(&view->map[first + i]);
		if (!may_read(words[i], how))
			return -ENODATA;
		/* The words may be another lease's by now, and say anything. */
		if (fsmvp_frame_number(words[i]) > frames)
			return lease_is_current(leases, view->id) ? -EPROTO : -ESTALE;
	}
	for (uint64_t i = 0, at = offset; i < count; i++) {
		uint64_t within = at & (FRAME_BYTES - 1), left = FRAME_BYTES - within;
		uint64_t part = left < end - at ? left : end - at;
		uint64_t frame = fsmvp_frame_number(words[i]) - 1;
		int error = copy(leases->roots[view->root], (frame << FSMVP_WINDOW_SHIFT) + within, part,
				 into + (at - offset));

		if (error)
			return error;
		at += part;
	}
	fsmvp_fence_acquire();
	for (uint32_t i = 0; i < count; i++) {
		if (!is_same_use(words[i], fsmvp_load_relaxed(&view->map[first + i])))
			return lease_is_current(leases, view->id) ? -ENODATA : -ESTALE;
	}
	if (!lease_is_current(leases, view->id))
		return -ESTALE;
	now = fsmvp_now() & ~PAGES_MASK;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t last = (i + 1 < count ? FRAME_BYTES : ((end - 1) & (FRAME_BYTES - 1)) + 1);

		fsmvp_store_relaxed(&leases->region->frames[fsmvp_frame_number(words[i]) - 1],
				    now | (last + 4095) / 4096);
	}
	return (ssize_t)size;
}
