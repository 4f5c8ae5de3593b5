/* SPDX-License-Identifier: MIT
 *
 * Taking over from a dead shim: fsmvp_wire.h, TAKEOVER, steps 2 and 3. Main thread, while all others are held
 * back at the gate; waits for nothing. What stands in the region was written by a shim of ours, but control
 * could write it too, so it is looked at as hostile. A death in here is one more death: the next successor
 * begins again.
 */
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

/* Without libfuse, which may be what the request kills. ENOENT: answered already. */
static void answer_raw(struct shim *shim, uint64_t unique, int error)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = -error, .unique = unique};

	if (write(shim->fuse_fd, &out, sizeof(out)) < 0 && errno != ENOENT)
		log_write(LOG_WARNING, "answering a request in hand: %s", strerror(errno));
}

static bool is_live(uint32_t state)
{
	return state != FSMVP_FREE && state != FSMVP_FILLING && state < FSMVP_SLOT_STATES;
}

/* A row that some slot still speaks of. */
static bool is_in_a_slot(const struct shim *shim, uint64_t unique)
{
	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		if (shim->region.slots[i].unique == unique &&
		    is_live(fsmvp_low(fsmvp_load_acquire(&shim->region.words[i]))))
			return true;
	}
	return false;
}

static void clear_slots(struct shim *shim)
{
	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		uint64_t word = fsmvp_load_acquire(&shim->region.words[i]);
		struct row row = {i, fsmvp_generation(word)};

		if (fsmvp_low(word) == FSMVP_FILLING &&
		    ring_step(&shim->ring, row, FSMVP_FILLING, FSMVP_FREE))
			continue;
		if (fsmvp_low(word) != FSMVP_FREE)
			fsmvp_add_relaxed(&shim->ring.in_use, 1);
	}
	KILL_POINT("takeover.slots");
}

static void clear_handles(struct shim *shim)
{
	for (uint32_t i = 0; i < (uint32_t)shim->handles.high; i++) {
		struct fsmvp_handle *handle = &shim->region.handles[i];
		uint64_t word = fsmvp_load_acquire(&handle->word);
		uint64_t id = fsmvp_pack(i, fsmvp_generation(word));

		if (fsmvp_low(word) == FSMVP_HANDLE_FILLING)
			handle_step(&shim->handles, id, FSMVP_HANDLE_FILLING, FSMVP_HANDLE_FREE);
		else if (fsmvp_low(word) == FSMVP_HANDLE_OPENING && !is_in_a_slot(shim, handle->unique))
			handle_release(&shim->handles, id);
	}
	KILL_POINT("takeover.handles");
}

/* Receive buffers keep what is to be replayed; their workers do it. */
static void clear_receive(struct shim *shim)
{
	struct fsmvp_header *header = shim->region.header;

	for (uint32_t i = 0; i < FSMVP_WORKERS_MAX; i++) {
		struct fuse_in_header *in = (void *)(shim->region.receive + (size_t)i * FSMVP_RECEIVE_SIZE);
		uint32_t length = fsmvp_load_acquire32(&in->len);
		uint64_t unique = in->unique;

		if (length == 0)
			continue;
		if (length < sizeof(*in) || length > FSMVP_RECEIVE_SIZE || i >= shim->options.workers) {
			HOSTILE(&shim->region, "a receive buffer");
			fsmvp_store_release32(&in->len, 0);
			continue;
		}
		if (is_in_a_slot(shim, unique)) {
			fsmvp_store_release32(&in->len, 0);
			continue;
		}
		if (header->receive_unique[i] != unique) {
			header->receive_unique[i] = unique;
			header->receive_deaths[i] = 1;
		}
		/* Those after the first are counted by the worker, as it begins. */
		if (header->receive_deaths[i] < FSMVP_DEATHS_MAX)
			continue;
		log_write(LOG_ERROR, "a request (opcode %u) was in hand at %u deaths: it is answered EIO",
			  in->opcode, header->receive_deaths[i]);
		answer_raw(shim, unique, EIO);
		fsmvp_store_release32(&in->len, 0);
	}
	KILL_POINT("takeover.receive");
}

/* Answers EIO and lets the row go, whatever control does with it meanwhile. */
static void give_up(struct shim *shim, struct row row)
{
	const struct fsmvp_slot *slot = &shim->region.slots[row.index];

	if (slot->op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, slot->handle);
	answer_raw(shim, slot->unique, EIO);
	for (;;) {
		uint32_t state = fsmvp_low(fsmvp_load_acquire(&shim->region.words[row.index]));

		if (state == FSMVP_SUBMITTED)
			ring_step(&shim->ring, row, FSMVP_SUBMITTED, FSMVP_CANCEL_DONE);
		else if (state == FSMVP_TAKEN)
			ring_step(&shim->ring, row, FSMVP_TAKEN, FSMVP_CANCELLED);
		else if (state != FSMVP_LOCAL && state != FSMVP_DONE && state != FSMVP_CANCEL_DONE)
			return; /* CANCELLED: control lets go, the canceller frees */
		else if (ring_free(&shim->ring, row, state))
			return;
	}
}

/* The raw request through libfuse, which only gives its fuse_req_t. NULL: it is none that a slot may hold. */
static fuse_req_t decode(struct shim *shim, const struct fsmvp_slot *slot, struct ask *ask)
{
	static uint64_t raw[FSMVP_RAW_SIZE / sizeof(uint64_t)];
	struct adoption adoption = {0};
	struct fuse_buf buffer = {.mem = raw, .size = slot->raw_length};
	const struct fuse_in_header *in = (const void *)raw;

	if (buffer.size < sizeof(*in) || buffer.size > sizeof(raw))
		return NULL;
	memcpy(raw, slot->raw, buffer.size);
	if (in->len != buffer.size || in->unique != slot->unique)
		return NULL;
	current.raw = (const uint8_t *)raw;
	current.adopt = &adoption;
	fuse_session_process_buf(shim->session, &buffer);
	current.adopt = NULL;
	*ask = adoption.ask;
	if (ask->op == FSMVP_OP_OPEN)
		ask->handle = slot->handle;
	if (!adoption.request || ask->op != slot->op ||
	    (ask->op == FSMVP_OP_OPEN && fsmvp_low(ask->handle) >= FSMVP_HANDLES))
		return NULL;
	return adoption.request;
}

static void adopt(struct shim *shim, struct row row, uint32_t state, uint32_t *locals)
{
	struct fsmvp_slot *slot = &shim->region.slots[row.index];
	struct ring_entry *entry = &shim->ring.entries[row.index];
	uint32_t deaths = fsmvp_load_relaxed32(&slot->replays) + 1;
	struct ask ask;
	fuse_req_t request;

	fsmvp_store_relaxed32(&slot->replays, deaths);
	KILL_POINT("takeover.counted");
	if (deaths >= FSMVP_DEATHS_MAX) {
		log_write(LOG_ERROR, "a request (operation %u) was in hand at %u deaths: it is answered EIO",
			  slot->op, deaths);
		give_up(shim, row);
		return;
	}
	request = decode(shim, slot, &ask);
	if (!request) {
		HOSTILE(&shim->region, "a request in a slot");
		give_up(shim, row);
		return;
	}
	ring_note(entry, &ask, slot->pid);
	entry->bad = slot->flags & FSMVP_SLOT_BAD;
	ring_put(&shim->ring, row.index, request);
	if (state == FSMVP_LOCAL) {
		entry->job_generation = row.generation;
		entry->job_next = *locals;
		*locals = row.index;
	} else if (state != FSMVP_DONE) {
		/* It only waits for control: no shim is at work on it. */
		fsmvp_store_relaxed32(&slot->replays, deaths - 1);
	}
	KILL_POINT("takeover.adopted");
}

/* What a dead worker or disk thread was about to do. Last, as control may complete a row as soon as it has it. */
static void run_locals(struct shim *shim, uint32_t index)
{
	while (index != SHIM_NONE) {
		struct ring_entry *entry = &shim->ring.entries[index];
		struct row row = {index, entry->job_generation};
		uint32_t next = entry->job_next;
		struct fsmvp_handle *handle = handle_find(&shim->handles, entry->handle);
		uint64_t lease = handle ? fsmvp_load_acquire(&handle->lease) : 0;
		fuse_req_t request = ring_take(&shim->ring, index);

		/* Without a lease (the handle was released meanwhile) there is nothing to read from. */
		if (entry->op == FSMVP_OP_READ && lease != 0)
			disk_hand(shim, row, request, lease, entry->size);
		else
			forward_row(shim, row, request);
		index = next;
	}
}

void takeover(struct shim *shim, uint64_t ended_at)
{
	struct fsmvp_header *header = shim->region.header;
	uint64_t killed_at = fsmvp_exchange(&header->killed_at, 0);
	uint32_t locals = SHIM_NONE;

	clear_slots(shim);
	clear_handles(shim);
	clear_receive(shim);
	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		uint64_t word = fsmvp_load_acquire(&shim->region.words[i]);

		if (is_live(fsmvp_low(word)))
			adopt(shim, (struct row){i, fsmvp_generation(word)}, fsmvp_low(word), &locals);
	}
	run_locals(shim, locals);
	bell_ring(shim->shim_bell);
	bell_ring(shim->control_bell);
	canceller_wake(shim, true);
	/* A time far off is a kill that this death was not the answer to. */
	if (killed_at == 0 || killed_at > ended_at || ended_at - killed_at > UINT64_C(10000000000))
		killed_at = ended_at;
	fsmvp_store_relaxed(&header->outage, fsmvp_now() - killed_at);
	KILL_POINT("takeover.ready");
}
