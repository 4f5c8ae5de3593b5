/* SPDX-License-Identifier: MIT
 *
 * The canceller: answers EINTR to callers that are dying, so that a blocked reader can be killed. It looks at
 * every forwarded request older than 200 ms each 200 ms, and at all of them soon after a FUSE_INTERRUPT. It
 * also frees rows that control has let go of: only here, so a row is never free before its reply went out.
 * After a takeover it answers what the dead shim had cancelled and maybe not answered; where no control plane
 * comes any more it answers EIO to everybody who waits for one.
 * Waits for its bell; parked, without a tick, while the ring is empty.
 */
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <time.h>

#define PERIOD_MS 200
#define AGE_NS	  UINT64_C(200000000)
#define HURRY_GAP_NS                                                                                         \
	UINT64_C(20000000) /* between hurried looks: a storm of signals is one look, not a thousand */
#define QUIET_TICKS 5

void canceller_wake(struct shim *shim, bool hurry)
{
	if (hurry)
		fsmvp_add_relaxed(&shim->hurry, 1);
	fsmvp_fence_full();
	if (hurry || fsmvp_load_relaxed(&shim->canceller_parked))
		bell_ring(shim->canceller_bell);
}

static void answer(struct shim *shim, const struct ring_entry *entry, fuse_req_t request, int error)
{
	if (entry->op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, entry->handle);
	KILL_POINT("cancel.released");
	fuse_reply_err(request, error);
	KILL_POINT("cancel.replied");
}

/* The state word decides who answers: control, if it completed first. */
static void cancel(struct shim *shim, struct row row, int error)
{
	const struct ring_entry *entry = &shim->ring.entries[row.index];
	fuse_req_t request = ring_take(&shim->ring, row.index);
	bool waiting;

	if (!request)
		return;
	waiting = ring_step(&shim->ring, row, FSMVP_SUBMITTED, FSMVP_CANCEL_DONE);
	if (!waiting && !ring_step(&shim->ring, row, FSMVP_TAKEN, FSMVP_CANCELLED)) {
		ring_put(&shim->ring, row.index, request);
		bell_ring(shim->shim_bell); /* the completion thread may have passed while it was here */
		return;
	}
	KILL_POINT("cancel.stepped");
	answer(shim, entry, request, error);
	fsmvp_add_relaxed(&shim->region.header->count_cancelled, 1);
	if (waiting)
		ring_free(&shim->ring, row, FSMVP_CANCEL_DONE);
	else
		bell_ring(shim->control_bell);
	KILL_POINT("cancel.freed");
}

/* CANCELLED or CANCEL_DONE. Its request is in the ring only where a dead shim had it. */
static void let_go(struct shim *shim, struct row row, uint32_t state)
{
	fuse_req_t request = ring_take(&shim->ring, row.index);

	if (request)
		answer(shim, &shim->ring.entries[row.index], request, EINTR);
	if (state == FSMVP_CANCEL_DONE)
		ring_free(&shim->ring, row, FSMVP_CANCEL_DONE);
}

void canceller_look(struct shim *shim, bool all, uint64_t now)
{
	bool orphaned = fsmvp_load_acquire(&shim->orphaned);

	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		uint64_t word = fsmvp_load_acquire(&shim->region.words[i]);
		struct row row = {i, fsmvp_generation(word)};
		uint32_t state = fsmvp_low(word), pid = fsmvp_load_relaxed32(&shim->ring.entries[i].pid);

		if (state == FSMVP_CANCELLED || state == FSMVP_CANCEL_DONE)
			let_go(shim, row, state);
		if (state != FSMVP_SUBMITTED && state != FSMVP_TAKEN)
			continue;
		if (orphaned) {
			cancel(shim, row, EIO);
			continue;
		}
		if (!all && now < fsmvp_load_relaxed(&shim->region.slots[i].taken_at) + AGE_NS)
			continue;
		if (pid != 0 && caller_gone_or_dying(pid))
			cancel(shim, row, EINTR);
	}
}

/* Waits for the next look; true if an interrupt asked for it. */
static bool wait_for_look(struct shim *shim, uint64_t *hurries, uint64_t looked_at, uint32_t *quiet)
{
	uint64_t now, next;

	*quiet = fsmvp_load_relaxed(&shim->ring.in_use) == 0 ? *quiet + 1 : 0;
	if (*quiet > QUIET_TICKS) {
		fsmvp_store_relaxed(&shim->canceller_parked, 1);
		fsmvp_fence_full();
		if (fsmvp_load_relaxed(&shim->ring.in_use) == 0)
			bell_wait(shim->canceller_bell, -1);
		fsmvp_store_relaxed(&shim->canceller_parked, 0);
		*quiet = 0;
	} else {
		bell_wait(shim->canceller_bell, PERIOD_MS);
	}
	next = fsmvp_load_relaxed(&shim->hurry);
	if (next == *hurries)
		return false;
	now = fsmvp_now();
	if (now < looked_at + HURRY_GAP_NS) {
		struct timespec rest = {.tv_nsec = (long)(looked_at + HURRY_GAP_NS - now)};

		nanosleep(&rest, NULL);
	}
	*hurries = fsmvp_load_relaxed(&shim->hurry);
	return true;
}

static void *canceller_thread(void *argument)
{
	struct shim *shim = argument;
	uint64_t hurries = 0, looked_at = 0;
	uint32_t quiet = 0;

	gate_pass();
	for (;;) {
		bool all = wait_for_look(shim, &hurries, looked_at, &quiet);

		looked_at = fsmvp_now();
		if (fsmvp_load_relaxed(&shim->ring.in_use) != 0)
			canceller_look(shim, all, looked_at);
	}
	return NULL;
}

void canceller_start(struct shim *shim)
{
	thread_start("canceller", canceller_thread, shim);
}
