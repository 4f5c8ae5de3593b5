/* SPDX-License-Identifier: MIT
 *
 * Requests that found no free slot: fsmvp_wire.h, WAITING. Workers put them here and go on; the completion thread takes
 * them out in the order of their arrival, each kind from a queue of its own, and moves them into slots (forward.c); the
 * canceller takes out those of dying callers. A mutex is held for a few stores; nothing here waits for anything else.
 *
 * Each request is in the region at every instant: a row is freed only after its slot is LOCAL or its answer is sent.
 */
#include "request/request.h"
#include "life/base.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int waiting_open(struct waiting *waiting, struct region *region)
{
	*waiting = (struct waiting){
	    .region = region,
	    .entries = calloc(FSMVP_WAITING, sizeof(struct waiting_entry)),
	    .free = SHIM_NONE,
	    .rows = FSMVP_WAITING,
	};
	for (int i = 0; i < SLOT_KINDS; i++)
		waiting->queues[i] = (struct waiting_queue){SHIM_NONE, SHIM_NONE, 0};
	pthread_mutex_init(&waiting->lock, NULL);
	return waiting->entries ? 0 : -ENOMEM;
}

static struct waiting_queue *queue_of(struct waiting *waiting, const struct waiting_entry *entry)
{
	return &waiting->queues[slot_kind(entry->ask.op, entry->lease)];
}

bool waiting_has(const struct waiting *waiting, enum slot_kind kind)
{
	return fsmvp_load_relaxed(&waiting->queues[kind].count) != 0;
}

uint64_t waiting_count(const struct waiting *waiting)
{
	uint64_t sum = 0;

	for (int i = 0; i < SLOT_KINDS; i++)
		sum += fsmvp_load_relaxed(&waiting->queues[i].count);
	return sum;
}

static struct fsmvp_waiting *row_of(const struct waiting *waiting, uint32_t index)
{
	return &waiting->region->waiting[index];
}

static bool step(const struct waiting *waiting, uint32_t index, uint32_t from, uint32_t to)
{
	uint64_t *word = &row_of(waiting, index)->word;
	uint32_t generation = fsmvp_generation(fsmvp_load_acquire(word));

	return fsmvp_cas(word, fsmvp_pack(from, generation),
			 fsmvp_pack(to, to == FSMVP_WAIT_FREE ? generation + 1 : generation));
}

/* The lists, under the lock. */

static uint32_t take_free(struct waiting *waiting)
{
	uint32_t index = waiting->free;

	if (index != SHIM_NONE) {
		waiting->free = waiting->entries[index].next;
		return index;
	}
	index = waiting->high;
	if (index >= waiting->rows)
		return SHIM_NONE;
	fsmvp_store_release32(&waiting->high, index + 1);
	fsmvp_max_release32(&waiting->region->header->waiting_high, waiting->high);
	return index;
}

static void give_free(struct waiting *waiting, uint32_t index)
{
	waiting->entries[index].next = waiting->free;
	waiting->free = index;
}

static void append(struct waiting *waiting, uint32_t index)
{
	struct waiting_entry *entry = &waiting->entries[index];
	struct waiting_queue *queue = queue_of(waiting, entry);

	entry->next = SHIM_NONE;
	entry->before = queue->tail;
	if (queue->tail == SHIM_NONE)
		queue->head = index;
	else
		waiting->entries[queue->tail].next = index;
	queue->tail = index;
	fsmvp_store_relaxed(&queue->count, queue->count + 1);
}

static struct fuse_req *take_out(struct waiting *waiting, uint32_t index)
{
	struct waiting_entry *entry = &waiting->entries[index];
	struct waiting_queue *queue = queue_of(waiting, entry);
	struct fuse_req *request = entry->request;

	if (entry->before == SHIM_NONE)
		queue->head = entry->next;
	else
		waiting->entries[entry->before].next = entry->next;
	if (entry->next == SHIM_NONE)
		queue->tail = entry->before;
	else
		waiting->entries[entry->next].before = entry->before;
	fsmvp_store_relaxed(&queue->count, queue->count - 1);
	entry->request = NULL;
	return request;
}

static void release(struct waiting *waiting, uint32_t index, uint32_t from)
{
	step(waiting, index, from, FSMVP_WAIT_FREE);
	pthread_mutex_lock(&waiting->lock);
	give_free(waiting, index);
	pthread_mutex_unlock(&waiting->lock);
}

/* Under the lock. */
static void enter(struct waiting *waiting, uint32_t index, struct fuse_req *request, const struct ask *ask,
		  uint64_t lease)
{
	struct waiting_entry *entry = &waiting->entries[index];
	const struct fuse_in_header *in = (const void *)row_of(waiting, index)->raw;

	entry->request = request;
	entry->ask = *ask;
	entry->lease = lease;
	entry->unique = in->unique;
	append(waiting, index);
}

/* The canceller goes by this, and looks without the lock. So it is written before the row is WAITING: nothing there may
 * be of the request that was in the row before, whose caller may be dying. */
static void note_caller(struct waiting *waiting, uint32_t index)
{
	const struct fuse_in_header *in = (const void *)row_of(waiting, index)->raw;

	fsmvp_store_relaxed32(&waiting->entries[index].pid, caller_known(in->pid));
	fsmvp_store_relaxed(&waiting->entries[index].interrupted_at, 0);
}

bool waiting_put(struct shim *shim, struct fuse_req *request, const struct ask *ask, uint64_t lease,
		 const struct source *source)
{
	struct waiting *waiting = &shim->waiting;
	struct fsmvp_waiting *row;
	struct ask kept = *ask;
	uint32_t index;

	pthread_mutex_lock(&waiting->lock);
	index = take_free(waiting);
	pthread_mutex_unlock(&waiting->lock);
	if (index == SHIM_NONE)
		return false;
	row = row_of(waiting, index);
	step(waiting, index, FSMVP_WAIT_FREE, FSMVP_WAIT_FILLING);
	row->handle = ask->handle;
	fsmvp_store_relaxed(&row->taken_at, source->taken_at);
	row->replays = source->replays;
	row->flags = ask->op == FSMVP_OP_READ && lease != 0 ? FSMVP_WAIT_LOCAL : 0;
	row->raw_length = source->length;
	memcpy(row->raw, source->raw, source->length);
	note_caller(waiting, index);
	if (ask->name)
		kept.name = (const char *)row->raw + (ask->name - (const char *)source->raw);
	if (ask->op == FSMVP_OP_OPEN)
		handle_step(&shim->handles, ask->handle, FSMVP_HANDLE_FILLING, FSMVP_HANDLE_OPENING);
	KILL_POINT("wait.filled");
	step(waiting, index, FSMVP_WAIT_FILLING, FSMVP_WAIT_WAITING);
	KILL_POINT("wait.stored");
	fsmvp_store_release32(source->in_hand, 0);
	KILL_POINT("wait.cleared");
	pthread_mutex_lock(&waiting->lock);
	enter(waiting, index, request, &kept, lease);
	pthread_mutex_unlock(&waiting->lock);
	/* A slot may have become free in between, with no request waiting yet. */
	bell_ring(shim->shim_bell);
	canceller_wake(shim, false);
	return true;
}

bool waiting_take(struct waiting *waiting, enum slot_kind kind, struct waiting_taken *taken)
{
	struct fsmvp_waiting *row;
	uint32_t index, length;

	*taken = (struct waiting_taken){0};
	pthread_mutex_lock(&waiting->lock);
	index = waiting->queues[kind].head;
	if (index != SHIM_NONE) {
		taken->ask = waiting->entries[index].ask;
		taken->lease = waiting->entries[index].lease;
		taken->request = take_out(waiting, index);
	}
	pthread_mutex_unlock(&waiting->lock);
	if (!taken->request)
		return false;
	row = row_of(waiting, index);
	KILL_POINT("wait.claimed");
	step(waiting, index, FSMVP_WAIT_WAITING, FSMVP_WAIT_MOVING);
	KILL_POINT("wait.moving");
	/* Another process may have written there since; a row of the ring has no room for more. */
	length = fsmvp_load_relaxed32(&row->raw_length);
	taken->index = index;
	taken->source = (struct source){.raw = row->raw,
					.length = length < FSMVP_RAW_SIZE ? length : FSMVP_RAW_SIZE,
					.replays = row->replays,
					.flags = fsmvp_load_relaxed32(&row->flags) & FSMVP_SLOT_INTERRUPTED,
					.taken_at = row->taken_at};
	return true;
}

void waiting_moved(struct waiting *waiting, uint32_t index)
{
	release(waiting, index, FSMVP_WAIT_MOVING);
}

void waiting_answer(struct shim *shim, uint32_t index, uint32_t generation, int error)
{
	struct waiting *waiting = &shim->waiting;
	uint64_t word = fsmvp_pack(FSMVP_WAIT_WAITING, generation);
	struct fuse_req *request = NULL;
	struct ask ask;

	pthread_mutex_lock(&waiting->lock);
	if (fsmvp_load_acquire(&row_of(waiting, index)->word) == word && waiting->entries[index].request) {
		ask = waiting->entries[index].ask;
		request = take_out(waiting, index);
	}
	pthread_mutex_unlock(&waiting->lock);
	if (!request)
		return;
	if (ask.op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, ask.handle);
	fuse_reply_err(request, error);
	KILL_POINT("wait.refused");
	fsmvp_add_relaxed(&shim->region.header->count_cancelled, 1);
	release(waiting, index, FSMVP_WAIT_WAITING);
}

bool waiting_interrupted(struct shim *shim, uint64_t unique, uint64_t now)
{
	struct waiting *waiting = &shim->waiting;
	bool found = false;

	pthread_mutex_lock(&waiting->lock);
	for (int i = 0; i < SLOT_KINDS && !found; i++) {
		for (uint32_t index = waiting->queues[i].head; index != SHIM_NONE;
		     index = waiting->entries[index].next) {
			if (waiting->entries[index].unique != unique)
				continue;
			fsmvp_store_relaxed(&waiting->entries[index].interrupted_at, now);
			fsmvp_or_release32(&row_of(waiting, index)->flags, FSMVP_SLOT_INTERRUPTED);
			found = true;
			break;
		}
	}
	pthread_mutex_unlock(&waiting->lock);
	return found;
}

bool waiting_holds(const struct waiting *waiting, uint64_t unique)
{
	for (uint32_t i = 0; i < waiting->high; i++) {
		struct fsmvp_waiting *row = row_of(waiting, i);
		const struct fuse_in_header *in = (const void *)row->raw;

		if (fsmvp_low(fsmvp_load_acquire(&row->word)) == FSMVP_WAIT_WAITING && in->unique == unique)
			return true;
	}
	return false;
}

/* A successor calls these functions before any other thread runs. */

void waiting_clear(struct shim *shim, bool (*is_in_a_slot)(const struct shim *shim, uint64_t unique))
{
	struct waiting *waiting = &shim->waiting;
	uint32_t high = fsmvp_load_acquire32(&shim->region.header->waiting_high);

	waiting->high = high < FSMVP_WAITING ? high : FSMVP_WAITING;
	for (uint32_t i = 0; i < waiting->high; i++) {
		struct fsmvp_waiting *row = row_of(waiting, i);
		const struct fuse_in_header *in = (const void *)row->raw;
		uint32_t state = fsmvp_low(fsmvp_load_acquire(&row->word));

		if (state == FSMVP_WAIT_FILLING)
			step(waiting, i, FSMVP_WAIT_FILLING, FSMVP_WAIT_FREE);
		else if (state == FSMVP_WAIT_MOVING)
			step(waiting, i, FSMVP_WAIT_MOVING,
			     is_in_a_slot(shim, in->unique) ? FSMVP_WAIT_FREE : FSMVP_WAIT_WAITING);
		else if (state > FSMVP_WAIT_MOVING)
			HOSTILE(&shim->region, "a waiting row's state");
		if (fsmvp_low(fsmvp_load_acquire(&row->word)) == FSMVP_WAIT_FREE)
			give_free(waiting, i);
	}
	KILL_POINT("takeover.waiting");
}

void waiting_adopt(struct shim *shim, uint32_t index, struct fuse_req *request, const struct ask *ask)
{
	uint32_t flags = fsmvp_load_relaxed32(&row_of(&shim->waiting, index)->flags);
	struct fsmvp_handle *handle =
	    flags & FSMVP_WAIT_LOCAL ? handle_find(&shim->handles, ask->handle) : NULL;

	note_caller(&shim->waiting, index);
	enter(&shim->waiting, index, request, ask, handle ? fsmvp_load_acquire(&handle->lease) : 0);
	if (flags & FSMVP_SLOT_INTERRUPTED)
		fsmvp_store_relaxed(&shim->waiting.entries[index].interrupted_at, fsmvp_now());
}

void waiting_drop(struct shim *shim, uint32_t index)
{
	release(&shim->waiting, index, FSMVP_WAIT_WAITING);
}
