/* SPDX-License-Identifier: MIT
 *
 * The handle table: one row for each open file, so that a reader's descriptor survives the shim. Workers and
 * the completion thread; no lock, waits for nothing. Control alone frees rows. The rows are the region's.
 */
#include "request/request.h"
#include "life/base.h"

/* So many rows in use one after another, and the table grows instead of being searched further. */
#define PROBES 256u

void handles_open(struct handles *handles, struct region *region, int control_bell)
{
	uint32_t high = fsmvp_load_acquire32(&region->header->handles_high);

	*handles = (struct handles){
	    .region = region,
	    .high = high > FSMVP_HANDLES ? FSMVP_HANDLES : high,
	    .control_bell = control_bell,
	};
}

static bool try_claim(struct handles *handles, uint32_t index, uint64_t *id)
{
	uint64_t *word = &handles->region->handles[index].word;
	uint64_t seen = fsmvp_load_acquire(word);
	uint32_t generation = fsmvp_generation(seen);

	if (fsmvp_low(seen) != FSMVP_HANDLE_FREE ||
	    !fsmvp_handle_step(word, FSMVP_SIDE_SHIM, generation, FSMVP_HANDLE_FREE, FSMVP_HANDLE_FILLING))
		return false;
	*id = fsmvp_pack(index, generation);
	return true;
}

static bool search(struct handles *handles, uint32_t high, uint32_t probes, uint64_t *id)
{
	uint32_t index = fsmvp_load_relaxed32(&handles->next);

	for (uint32_t n = 0; n < probes; n++, index++) {
		if (index >= high)
			index = 0;
		if (try_claim(handles, index, id)) {
			fsmvp_store_relaxed32(&handles->next, index + 1);
			return true;
		}
	}
	fsmvp_store_relaxed32(&handles->next, index);
	return false;
}

bool handle_claim(struct handles *handles, uint64_t *id)
{
	for (;;) {
		uint32_t high = (uint32_t)fsmvp_load_acquire(&handles->high);

		if (search(handles, high, high < PROBES ? high : PROBES, id))
			return true;
		if (high >= FSMVP_HANDLES) {
			if (search(handles, FSMVP_HANDLES, FSMVP_HANDLES, id))
				return true;
			fsmvp_add_relaxed(&handles->region->header->count_handles_full, 1);
			return false;
		}
		fsmvp_max_release32(&handles->region->header->handles_high, high + 1);
		if (fsmvp_cas(&handles->high, high, high + 1) && try_claim(handles, high, id))
			return true;
	}
}

bool handle_step(struct handles *handles, uint64_t id, uint32_t from, uint32_t to)
{
	uint32_t index = fsmvp_low(id);

	return index < FSMVP_HANDLES && fsmvp_handle_step(&handles->region->handles[index].word,
							  FSMVP_SIDE_SHIM, fsmvp_generation(id), from, to);
}

bool handle_release(struct handles *handles, uint64_t id)
{
	/* OPENING may become OPEN between the two looks, never the other way. */
	if (!handle_step(handles, id, FSMVP_HANDLE_OPENING, FSMVP_HANDLE_RELEASED) &&
	    !handle_step(handles, id, FSMVP_HANDLE_OPEN, FSMVP_HANDLE_RELEASED))
		return false;
	KILL_POINT("release.stepped");
	fsmvp_add_release(&handles->region->header->released, 1);
	KILL_POINT("release.counted");
	bell_ring(handles->control_bell);
	return true;
}

bool handle_open(struct handles *handles, uint64_t id, uint64_t lease)
{
	uint32_t index = fsmvp_low(id);

	if (index >= FSMVP_HANDLES)
		return false;
	/* Fails if the lease stands already, or in a row that was used again since. */
	fsmvp_cas(&handles->region->handles[index].lease, handle_unanswered(id), lease);
	KILL_POINT("reply.leased");
	return handle_step(handles, id, FSMVP_HANDLE_OPENING, FSMVP_HANDLE_OPEN) || handle_find(handles, id);
}

struct fsmvp_handle *handle_find(struct handles *handles, uint64_t id)
{
	uint32_t index = fsmvp_low(id);
	struct fsmvp_handle *row;

	if (index >= FSMVP_HANDLES)
		return NULL;
	row = &handles->region->handles[index];
	if (fsmvp_load_acquire(&row->word) != fsmvp_pack(FSMVP_HANDLE_OPEN, fsmvp_generation(id)))
		return NULL;
	return row;
}

void handle_learn(struct fsmvp_handle *row, uint64_t length)
{
	if (length != 0 && fsmvp_load_relaxed(&row->length) == 0)
		fsmvp_store_relaxed(&row->length, length);
}

void handle_account(struct fsmvp_handle *row, uint64_t offset, uint64_t bytes)
{
	if (bytes == 0) /* at the end of the file, or far behind it */
		return;
	fsmvp_add_relaxed(&row->bytes, bytes);
	fsmvp_max_relaxed(&row->cursor, offset + bytes);
}
