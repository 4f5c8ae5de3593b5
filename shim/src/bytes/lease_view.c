/* SPDX-License-Identifier: MIT
 *
 * A lease's row in the region: what it says, checked. Any thread; no lock, waits for nothing.
 *
 * Every field of a lease row is control's and may be anything: it is copied between two looks at the
 * generation, then checked. Nothing is kept here.
 */
#include "bytes/bytes.h"
#include "life/base.h"

#include <errno.h>
#include <string.h>

#define BLOCK_SHIFT_MIN 12u
#define BLOCK_SHIFT_MAX 30u

bool lease_is_current(const struct leases *leases, uint64_t id)
{
	return fsmvp_load_acquire32(&leases->region->leases[fsmvp_low(id)].generation) ==
	       fsmvp_generation(id);
}

uint32_t lease_root(const struct leases *leases, uint64_t id)
{
	uint32_t index = fsmvp_low(id);

	return index < FSMVP_LEASES ? fsmvp_load_relaxed32(&leases->region->leases[index].root) : 0;
}

uint64_t lease_length(const struct leases *leases, uint64_t id, uint64_t node)
{
	struct lease_view view;

	return lease_view(leases->region, leases->root_count, id, &view) == 0 && view.node == node
		   ? view.length
		   : 0;
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

/* Whether the other fields agree with the flags. */
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
