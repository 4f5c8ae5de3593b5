/* SPDX-License-Identifier: MIT
 *
 * The ring's shim side: finding a free row, moving it, and taking its request. Every thread but the link; no
 * lock, waits for nothing.
 *
 * Rows near the beginning are used again first, so that the high-water row stays low: walks stop there, and a
 * page of the memfd above it is never touched. `first_free` is only a hint where to begin.
 *
 * The state words are the region's. What the shim knows of a row beside them is its entry in struct ring, whose members
 * say which thread or lock they belong to.
 */
#include "request/request.h"
#include "life/base.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define IDLE_NS UINT64_C(2000000000)

int ring_open(struct ring *ring, struct region *region, int shim_bell, int control_bell)
{
	*ring = (struct ring){
	    .region = region,
	    .entries = calloc(FSMVP_SLOTS, sizeof(struct ring_entry)),
	    .shim_bell = shim_bell,
	    .control_bell = control_bell,
	    .first_free = {0, FSMVP_SLOTS_RESERVED},
	};
	ring->rows = FSMVP_SLOTS;
#ifdef FSMVP_KILL_POINTS
	/* So that a test fills the table with few readers. */
	if (getenv("FSMVP_TEST_SLOTS"))
		ring->rows = (uint32_t)strtoul(getenv("FSMVP_TEST_SLOTS"), NULL, 10);
#endif
	ring_refresh(ring);
	return ring->entries ? 0 : -ENOMEM;
}

void ring_refresh(struct ring *ring)
{
	uint64_t high = fsmvp_load_acquire32(&ring->region->header->slots_high);

	ring->high = high < FSMVP_SLOTS_RESERVED ? FSMVP_SLOTS_RESERVED
		     : high > FSMVP_SLOTS	 ? FSMVP_SLOTS
						 : high;
}

static bool try_claim(struct ring *ring, uint32_t index, struct row *row)
{
	uint64_t *word = &ring->region->words[index];
	uint64_t seen = fsmvp_load_relaxed(word);

	if (fsmvp_low(seen) != FSMVP_FREE ||
	    !fsmvp_slot_step(word, FSMVP_SIDE_SHIM, fsmvp_generation(seen), FSMVP_FREE, FSMVP_FILLING))
		return false;
	*row = (struct row){index, fsmvp_generation(seen)};
	fsmvp_add_relaxed(&ring->in_use, 1);
	return true;
}

static bool claim_between(struct ring *ring, uint32_t low, uint32_t high, uint32_t *first_free,
			  struct row *row)
{
	uint32_t begin = fsmvp_load_relaxed32(first_free);

	if (begin < low || begin >= high)
		begin = low;
	for (uint32_t n = 0, index = begin; n < high - low; n++) {
		if (try_claim(ring, index, row)) {
			fsmvp_store_relaxed32(first_free, index + 1);
			return true;
		}
		if (++index == high)
			index = low;
	}
	return false;
}

/* Raises the high-water row by one, for both sides, before the row is used. */
static bool raise_high(struct ring *ring, struct row *row)
{
	for (;;) {
		uint64_t high = fsmvp_load_acquire(&ring->high);

		if (high >= ring->rows)
			return false;
		fsmvp_max_release32(&ring->region->header->slots_high, (uint32_t)high + 1);
		if (fsmvp_cas(&ring->high, high, high + 1) && try_claim(ring, (uint32_t)high, row))
			return true;
	}
}

static bool claim_read(struct ring *ring, struct row *row)
{
	uint32_t high = (uint32_t)fsmvp_load_acquire(&ring->high);

	return claim_between(ring, FSMVP_SLOTS_RESERVED, high, &ring->first_free[1], row) ||
	       raise_high(ring, row) ||
	       claim_between(ring, FSMVP_SLOTS_RESERVED, ring->rows, &ring->first_free[1], row);
}

bool ring_claim(struct ring *ring, enum slot_kind kind, struct row *row)
{
	switch (kind) {
	case SLOT_NAME:
		return claim_between(ring, 0, FSMVP_SLOTS_RESERVED, &ring->first_free[0], row) ||
		       claim_read(ring, row);
	case SLOT_READ:
		return claim_read(ring, row);
	case SLOT_LOCAL:
		return claim_read(ring, row) || claim_between(ring, FSMVP_SLOTS_RESERVED - FSMVP_SLOTS_LOCAL,
							      FSMVP_SLOTS_RESERVED, &ring->first_local, row);
	}
	return false;
}

bool ring_step(struct ring *ring, struct row row, uint32_t from, uint32_t to)
{
	return fsmvp_slot_step(&ring->region->words[row.index], FSMVP_SIDE_SHIM, row.generation, from, to);
}

bool ring_free(struct ring *ring, struct row row, uint32_t from)
{
	uint32_t *first_free = &ring->first_free[row.index >= FSMVP_SLOTS_RESERVED];

	if (!ring_step(ring, row, from, FSMVP_FREE))
		return false;
	if (row.index < fsmvp_load_relaxed32(first_free))
		fsmvp_store_relaxed32(first_free, row.index);
	fsmvp_add_relaxed(&ring->in_use, UINT64_MAX);
	fsmvp_fence_full();
	if (ring->waiting && waiting_count(ring->waiting) != 0)
		bell_ring(ring->shim_bell);
	return true;
}

void ring_give_up(struct ring *ring, struct row row)
{
	/* Control moves a row on twice at most, from SUBMITTED by TAKEN to DONE. */
	for (int i = 0; i < 4; i++) {
		uint64_t word = fsmvp_load_acquire(&ring->region->words[row.index]);
		uint32_t state = fsmvp_low(word);

		if (fsmvp_generation(word) != row.generation)
			return;
		if (state == FSMVP_SUBMITTED)
			ring_step(ring, row, FSMVP_SUBMITTED, FSMVP_CANCEL_DONE);
		else if (state == FSMVP_TAKEN)
			ring_step(ring, row, FSMVP_TAKEN, FSMVP_CANCELLED);
		else if (state != FSMVP_LOCAL && state != FSMVP_DONE && state != FSMVP_CANCEL_DONE)
			return;
		else if (ring_free(ring, row, state))
			return;
	}
}

void ring_note(struct ring_entry *entry, const struct ask *ask, uint64_t unique, uint32_t pid)
{
	fsmvp_store_relaxed32(&entry->op, ask->op);
	entry->size = (uint32_t)ask->arg1;
	entry->node = ask->node;
	entry->handle = ask->handle;
	entry->offset = ask->arg0;
	entry->plus = ask->op == FSMVP_OP_READDIR && ask->arg2 != 0;
	fsmvp_store_relaxed(&entry->unique, unique);
	fsmvp_store_relaxed32(&entry->pid, caller_known(pid));
	entry->bad = 0;
	entry->returns = 0;
}

bool ring_interrupt(struct ring *ring, uint32_t index, uint64_t unique, uint64_t now)
{
	struct ring_entry *entry = &ring->entries[index];

	if (fsmvp_load_relaxed(&entry->unique) != unique)
		return false;
	fsmvp_or_release32(&ring->region->slots[index].flags, FSMVP_SLOT_INTERRUPTED);
	fsmvp_store_relaxed(&entry->interrupted_at, now);
	fsmvp_store_release(&entry->interrupted, unique);
	return true;
}

void ring_begin(struct ring *ring, uint32_t index)
{
	uint32_t *deaths = &ring->region->slots[index].replays;

	fsmvp_store_relaxed32(deaths, fsmvp_load_relaxed32(deaths) + 1);
}

void ring_hand_on(struct ring *ring, uint32_t index)
{
	uint32_t *deaths = &ring->region->slots[index].replays;
	uint32_t counted = fsmvp_load_relaxed32(deaths);

	if (counted > 0) /* control could write it, too */
		fsmvp_store_relaxed32(deaths, counted - 1);
}

void *ring_take(struct ring *ring, uint32_t index)
{
	return (void *)(uintptr_t)fsmvp_exchange(&ring->entries[index].request, 0);
}

void ring_put(struct ring *ring, uint32_t index, void *request)
{
	fsmvp_store_release(&ring->entries[index].request, (uint64_t)(uintptr_t)request);
}

bool ring_submit(struct ring *ring, struct row row)
{
	struct fsmvp_slot *slot = &ring->region->slots[row.index];
	uint64_t now = fsmvp_now();

	slot->submitted_at = now;
	trace_time(ring->region, slot->op, FSMVP_SEGMENT_SUBMIT, slot->taken_at, now);
	fsmvp_add_relaxed(&ring->region->header->count_forwarded, 1);
	if (!ring_step(ring, row, FSMVP_LOCAL, FSMVP_SUBMITTED)) {
		HOSTILE(ring->region, "a slot's word was changed while it was the shim's");
		return false;
	}
	KILL_POINT("push.submitted");
	bell_ring(ring->control_bell);
	KILL_POINT("push.rung");
	return true;
}

/* A row that is in use is looked at again at the next beat. While it is held it is FILLING, as for a request: a shim
 * that dies here leaves a row that its successor frees. */
static void trim_row(struct ring *ring, uint32_t index)
{
	uint8_t *bytes = ring->region->listings + (size_t)index * FSMVP_LISTING_SIZE;
	struct row row;

	if (!try_claim(ring, index, &row))
		return;
	madvise(bytes, FSMVP_LISTING_SIZE, MADV_REMOVE);
	fsmvp_store_relaxed(&ring->entries[index].listed_at, 0);
	KILL_POINT("listing.trimmed");
	ring_free(ring, row, FSMVP_FILLING);
}

void ring_trim(struct ring *ring, uint64_t now)
{
	for (uint32_t i = 0; i < FSMVP_SLOTS_RESERVED; i++) {
		uint64_t listed_at = fsmvp_load_relaxed(&ring->entries[i].listed_at);

		if (listed_at != 0 && now >= listed_at + IDLE_NS)
			trim_row(ring, i);
	}
}

uint32_t ring_next(const struct ring *ring, uint32_t index)
{
	uint32_t next = index == SHIM_NONE ? 0 : index + 1;

	return next < (uint32_t)fsmvp_load_acquire(&ring->high) ? next : SHIM_NONE;
}
