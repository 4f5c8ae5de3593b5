/* SPDX-License-Identifier: MIT
 *
 * Taking over from a dead shim: fsmvp_wire.h, TAKEOVER, steps 2 and 3. Main thread, while all others are held
 * back at the gate; waits for nothing. The region was written by a shim of ours, but control could write
 * it too, so its contents are looked at as hostile. A death in here is one more death: the next successor
 * begins again.
 */
#include "life/base.h"
#include "life/life.h"
#include "bytes/disk.h"
#include "request/request.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>

/* Without libfuse, which may be what the request kills. ENOENT: answered already. */
static void answer_raw(struct shim *shim, uint64_t unique, int error)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = -error, .unique = unique};
	struct iovec part = {.iov_base = &out, .iov_len = sizeof(out)};

	if (session_write(shim->fuse_fd, &part, 1) < 0 && errno != ENOENT)
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

static bool is_in_hand(const struct shim *shim, uint64_t unique)
{
	return is_in_a_slot(shim, unique) || waiting_holds(&shim->waiting, unique);
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

/* One bit a handle. */
struct marks {
	uint64_t words[FSMVP_HANDLES / 64];
};

/* The handle's OPEN is the request `unique`. */
static void mark(const struct shim *shim, struct marks *marks, uint64_t id, uint64_t unique)
{
	uint32_t index = fsmvp_low(id);

	if (index < FSMVP_HANDLES && shim->region.handles[index].unique == unique)
		marks->words[index / 64] |= UINT64_C(1) << index % 64;
}

/* Handles whose OPEN some slot or waiting row speaks of. */
static void mark_in_hand(const struct shim *shim, struct marks *marks)
{
	const struct waiting *waiting = &shim->waiting;

	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		const struct fsmvp_slot *slot = &shim->region.slots[i];

		if (is_live(fsmvp_low(fsmvp_load_acquire(&shim->region.words[i]))))
			mark(shim, marks, slot->handle, slot->unique);
	}
	for (uint32_t i = 0; i < waiting->high; i++) {
		const struct fsmvp_waiting *row = &shim->region.waiting[i];

		if (fsmvp_low(fsmvp_load_acquire(&row->word)) == FSMVP_WAIT_WAITING)
			mark(shim, marks, row->handle,
			     ((const struct fuse_in_header *)(const void *)row->raw)->unique);
	}
}

void takeover_clear_handles(struct shim *shim)
{
	static struct marks marks;

	marks = (struct marks){0};
	mark_in_hand(shim, &marks);
	for (uint32_t i = 0; i < (uint32_t)shim->handles.high; i++) {
		uint64_t word = fsmvp_load_acquire(&shim->region.handles[i].word);
		uint64_t id = fsmvp_pack(i, fsmvp_generation(word));

		if (fsmvp_low(word) == FSMVP_HANDLE_FILLING)
			handle_step(&shim->handles, id, FSMVP_HANDLE_FILLING, FSMVP_HANDLE_FREE);
		else if (fsmvp_low(word) == FSMVP_HANDLE_OPENING && !(marks.words[i / 64] >> i % 64 & 1))
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
		if (is_in_hand(shim, unique)) {
			fsmvp_store_release32(&in->len, 0);
			continue;
		}
		if (header->receive_unique[i] != unique) {
			header->receive_unique[i] = unique;
			header->receive_deaths[i] = 1;
		}
		/* Further deaths are counted by the worker, as it begins. */
		if (header->receive_deaths[i] < FSMVP_DEATHS_MAX)
			continue;
		log_write(LOG_ERROR, "a request (opcode %u) was in hand at %u deaths: it is answered EIO",
			  in->opcode, header->receive_deaths[i]);
		answer_raw(shim, unique, EIO);
		fsmvp_store_release32(&in->len, 0);
	}
	KILL_POINT("takeover.receive");
}

/* Answers EIO and lets the row go. */
static void give_up(struct shim *shim, struct row row)
{
	const struct fsmvp_slot *slot = &shim->region.slots[row.index];

	if (slot->op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, slot->handle);
	answer_raw(shim, slot->unique, EIO);
	ring_give_up(&shim->ring, row);
}

/* The raw request through libfuse, which only gives its fuse_req_t. NULL: it is none that a slot may hold, or there is
 * no memory for it. */
static fuse_req_t decode(struct shim *shim, const uint8_t *stored, uint32_t length, uint64_t handle,
			 struct ask *ask, bool *is_short)
{
	/* libfuse reads a name up to a zero, so one always follows. */
	static uint64_t raw[FSMVP_RAW_SIZE / sizeof(uint64_t) + 1];
	struct adoption adoption = {0};
	struct fuse_buf buffer = {.mem = raw, .size = length};
	const struct fuse_in_header *in = (const void *)raw;

	if (buffer.size < sizeof(*in) || buffer.size > FSMVP_RAW_SIZE)
		return NULL;
	memcpy(raw, stored, buffer.size);
	((char *)raw)[buffer.size] = '\0';
	if (in->len != buffer.size)
		return NULL;
	current.raw = (const uint8_t *)raw;
	current.adopt = &adoption;
	fuse_session_process_buf(shim->session, &buffer);
	current.adopt = NULL;
	*ask = adoption.ask;
	*is_short = adoption.is_short;
	if (ask->op == FSMVP_OP_OPEN)
		ask->handle = handle;
	if (ask->name) /* its bytes in the row, which stays */
		ask->name = (const char *)stored + (ask->name - (const char *)raw);
	if (!adoption.request || (ask->op == FSMVP_OP_OPEN && fsmvp_low(ask->handle) >= FSMVP_HANDLES))
		return NULL;
	return adoption.request;
}

static void adopt(struct shim *shim, struct row row, uint32_t state, uint32_t *locals)
{
	struct fsmvp_slot *slot = &shim->region.slots[row.index];
	struct ring_entry *entry = &shim->ring.entries[row.index];
	uint32_t deaths = fsmvp_load_relaxed32(&slot->replays);
	bool is_short = false;
	struct ask ask;
	fuse_req_t request;

	if (deaths >= FSMVP_DEATHS_MAX) {
		log_write(LOG_ERROR, "a request (operation %u) was in hand at %u deaths: it is answered EIO",
			  slot->op, deaths);
		give_up(shim, row);
		return;
	}
	fsmvp_store_relaxed32(&slot->replays, deaths + 1);
	KILL_POINT("takeover.counted");
	request = decode(shim, slot->raw, slot->raw_length, slot->handle, &ask, &is_short);
	if (!request || ask.op != slot->op ||
	    ((const struct fuse_in_header *)(const void *)slot->raw)->unique != slot->unique) {
		if (is_short)
			log_write(LOG_ERROR, "no memory for a request in hand: it is answered EIO");
		else
			HOSTILE(&shim->region, "a request in a slot");
		give_up(shim, row);
		return;
	}
	/* This work is done, and from now on the row only waits, whatever its state. */
	fsmvp_store_relaxed32(&slot->replays, deaths);
	ring_note(entry, &ask, slot->unique, slot->pid);
	entry->bad = slot->flags & FSMVP_SLOT_BAD;
	if (slot->flags & FSMVP_SLOT_INTERRUPTED)
		ring_interrupt(&shim->ring, row.index, slot->unique, fsmvp_now());
	ring_put(&shim->ring, row.index, request);
	if (state == FSMVP_LOCAL) {
		entry->job_generation = row.generation;
		entry->job_next = *locals;
		*locals = row.index;
	}
	KILL_POINT("takeover.adopted");
}

static void adopt_waiting(struct shim *shim, uint32_t index)
{
	struct fsmvp_waiting *row = &shim->region.waiting[index];
	const struct fuse_in_header *in = (const void *)row->raw;
	uint32_t deaths = fsmvp_load_relaxed32(&row->replays);
	fuse_req_t request = NULL;
	bool is_short = false;
	struct ask ask;

	if (fsmvp_low(fsmvp_load_acquire(&row->word)) != FSMVP_WAIT_WAITING)
		return;
	fsmvp_store_relaxed32(&row->replays, deaths + 1);
	if (deaths < FSMVP_DEATHS_MAX)
		request = decode(shim, row->raw, row->raw_length, row->handle, &ask, &is_short);
	if (!request) {
		log_write(LOG_ERROR,
			  "a request that waited for a slot cannot be taken over: it is answered EIO");
		if (in->opcode == FUSE_OPEN)
			handle_release(&shim->handles, row->handle);
		answer_raw(shim, in->unique, EIO);
		waiting_drop(shim, index);
		return;
	}
	fsmvp_store_relaxed32(&row->replays, deaths);
	waiting_adopt(shim, index, request, &ask);
}

/* Runs jobs that a dead worker or disk thread was about to do. Last, because control may complete a row as
 * soon as it has it. */
static void run_locals(struct shim *shim, uint32_t index)
{
	while (index != SHIM_NONE) {
		struct ring_entry *entry = &shim->ring.entries[index];
		struct row row = {index, entry->job_generation};
		uint32_t next = entry->job_next;
		struct fsmvp_handle *handle = handle_find(&shim->handles, entry->handle);
		uint64_t lease = handle ? fsmvp_load_acquire(&handle->lease) : 0;
		fuse_req_t request = ring_take(&shim->ring, index);

		ring_begin(&shim->ring, index);
		/* Without a lease (the handle was released meanwhile) there is nothing to read from. */
		if (entry->op == FSMVP_OP_READ && lease != 0)
			disk_hand(shim, row, request, lease, entry->size);
		else
			submit_row(shim, row, request);
		index = next;
	}
}

void takeover(struct shim *shim, uint64_t ended_at)
{
	struct fsmvp_header *header = shim->region.header;
	uint64_t killed_at = fsmvp_exchange(&header->killed_at, 0);
	uint32_t locals = SHIM_NONE;

	clear_slots(shim);
	waiting_clear(shim, is_in_a_slot);
	takeover_clear_handles(shim);
	clear_receive(shim);
	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		uint64_t word = fsmvp_load_acquire(&shim->region.words[i]);

		if (is_live(fsmvp_low(word)))
			adopt(shim, (struct row){i, fsmvp_generation(word)}, fsmvp_low(word), &locals);
	}
	for (uint32_t i = 0; i < shim->waiting.high; i++)
		adopt_waiting(shim, i);
	/* Any of them may have memory. */
	for (uint32_t i = 0; i < FSMVP_SLOTS_RESERVED; i++)
		shim->ring.entries[i].listed_at = ended_at;
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
