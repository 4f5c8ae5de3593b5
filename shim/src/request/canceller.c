/* SPDX-License-Identifier: MIT
 *
 * The canceller: answers EINTR to callers that are dying, so that a blocked reader can be killed, wherever
 * its request is: with control, with a disk thread, or waiting for a slot. It looks at every request older
 * than 200 ms each 200 ms, and at all of them soon after a FUSE_INTERRUPT. It also frees rows that control
 * has let go of: only here, so a row is never free before its reply went out. After a takeover it answers
 * requests that the dead shim had cancelled and maybe not answered; if no control plane comes any more, it
 * answers EIO to every request that waits for one. Waits for its bell; parked, without a tick, while the ring
 * is empty.
 */
#include "request/request.h"
#include "bytes/bytes.h"
#include "bytes/disk.h"
#include "life/base.h"
#include "life/life.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_MS 200
#define AGE_NS	  UINT64_C(200000000)
#define HURRY_GAP_NS                                                                                         \
	UINT64_C(20000000) /* between hurried looks: a storm of signals is one look, not a thousand */
#define QUIET_TICKS 5

/* A caller whose process cannot be seen is taken for dying so long after the kernel's INTERRUPT (docs/adr/0021). */
#define STRANGER_NS UINT64_C(500000000)

/* Tells the kernel to send the INTERRUPT again: its request is in another worker's hands just now. ENOENT: it has been
 * answered meanwhile. */
static void ask_again(struct shim *shim, uint64_t unique)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = -EAGAIN, .unique = unique};

	if (write(shim->fuse_fd, &out, sizeof(out)) < 0 && errno != ENOENT)
		log_write(LOG_WARNING, "asking for an interrupt again: %s", strerror(errno));
}

void canceller_interrupt(struct shim *shim, const void *request, size_t length)
{
	const struct fuse_in_header *in = request;
	struct fuse_interrupt_in interrupt;
	uint64_t now = fsmvp_now();
	bool found = false;

	if (length >= sizeof(*in) + sizeof(interrupt) && caller_some_unknown()) {
		memcpy(&interrupt, in + 1, sizeof(interrupt));
		for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE && !found;
		     i = ring_next(&shim->ring, i))
			found = ring_interrupt(&shim->ring, i, interrupt.unique, now);
		if (!found && !waiting_interrupted(shim, interrupt.unique, now))
			ask_again(shim, in->unique);
	}
	canceller_wake(shim, true);
}

static void answer(struct shim *shim, const struct ring_entry *entry, fuse_req_t request, int error)
{
	if (entry->op == FSMVP_OP_OPEN)
		handle_release(&shim->handles, entry->handle);
	KILL_POINT("cancel.released");
	fuse_reply_err(request, error);
	KILL_POINT("cancel.replied");
}

/* The state word decides which side answers: control, if it completed first. */
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

/* A disk thread's: it may hang for ever, so its request is answered from here, and its row freed when it comes back. */
static void cancel_at_disk(struct shim *shim, struct row row)
{
	bool was_queued;
	fuse_req_t request = disk_take_back(shim, row, &was_queued);
	uint32_t state;

	if (!request)
		return;
	/* LOCAL may have been DONE by control since the look; while it is the disk's it stays. */
	state = fsmvp_low(fsmvp_load_acquire(&shim->region.words[row.index]));
	fuse_reply_err(request, EINTR);
	KILL_POINT("cancel.at_disk");
	fsmvp_add_relaxed(&shim->region.header->count_cancelled, 1);
	if (was_queued)
		ring_free(&shim->ring, row, state);
}

static bool is_dying(struct shim *shim, uint32_t pid, uint64_t interrupted_at, uint64_t now)
{
	enum caller_state state;

	if (pid == 0)
		return interrupted_at != 0 && now >= interrupted_at + STRANGER_NS;
	state = caller_look(pid);
	if (state == CALLER_UNSEEN) /* no descriptor for the look: the next one finds this */
		lease_file_shed(&shim->leases);
	return state == CALLER_DYING;
}

static void look_at_waiting(struct shim *shim, bool all, uint64_t now)
{
	struct waiting *waiting = &shim->waiting;

	if (waiting_count(waiting) == 0)
		return;
	for (uint32_t i = 0; i < fsmvp_load_acquire32(&waiting->high); i++) {
		const struct fsmvp_waiting *row = &shim->region.waiting[i];
		const struct waiting_entry *entry = &waiting->entries[i];
		uint64_t word = fsmvp_load_acquire(&row->word);

		if (fsmvp_low(word) != FSMVP_WAIT_WAITING)
			continue;
		if (fsmvp_load_acquire(&shim->orphaned))
			waiting_answer(shim, i, fsmvp_generation(word), EIO);
		else if ((all || now >= fsmvp_load_relaxed(&row->taken_at) + AGE_NS) &&
			 is_dying(shim, fsmvp_load_relaxed32(&entry->pid),
				  fsmvp_load_relaxed(&entry->interrupted_at), now))
			waiting_answer(shim, i, fsmvp_generation(word), EINTR);
	}
}

void canceller_look(struct shim *shim, bool all, uint64_t now)
{
	for (uint32_t i = ring_next(&shim->ring, SHIM_NONE); i != SHIM_NONE; i = ring_next(&shim->ring, i)) {
		uint64_t word = fsmvp_load_acquire(&shim->region.words[i]);
		struct row row = {i, fsmvp_generation(word)};
		const struct ring_entry *entry = &shim->ring.entries[i];
		uint32_t state = fsmvp_low(word), pid = fsmvp_load_relaxed32(&entry->pid);
		/* The row may be another request's by now; what is done below carries the generation. */
		bool at_disk = (state == FSMVP_LOCAL || state == FSMVP_DONE) &&
			       fsmvp_load_relaxed32(&entry->op) == FSMVP_OP_READ;

		if (state == FSMVP_CANCELLED || state == FSMVP_CANCEL_DONE)
			let_go(shim, row, state);
		if (!at_disk && state != FSMVP_SUBMITTED && state != FSMVP_TAKEN)
			continue;
		/* Asked anew for each row, after its state: a control plane may come in the middle of the walk. */
		if (!at_disk && fsmvp_load_acquire(&shim->orphaned)) {
			cancel(shim, row, EIO);
			continue;
		}
		if (!all && now < fsmvp_load_relaxed(&shim->region.slots[i].taken_at) + AGE_NS)
			continue;
		if (!is_dying(shim, pid, ring_interrupted_at(entry), now))
			continue;
		if (at_disk)
			cancel_at_disk(shim, row);
		else
			cancel(shim, row, EINTR);
	}
	look_at_waiting(shim, all, now);
	disk_tend(shim);
}

/* Waits for the next look; true if an interrupt asked for it. */
static bool wait_for_look(struct shim *shim, uint64_t *hurries, uint64_t looked_at, uint32_t *quiet)
{
	uint64_t now, next;

	*quiet = fsmvp_load_relaxed(&shim->ring.in_use) == 0 ? *quiet + 1 : 0;
	if (*quiet > QUIET_TICKS) {
		fsmvp_store_relaxed(&shim->canceller_parked, 1);
		fsmvp_fence_full();
		if (fsmvp_load_relaxed(&shim->ring.in_use) == 0 && !bell_wait(shim->canceller_bell, -1))
			usleep(1000); /* it could not wait: no busy loop */
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

int canceller_start(struct shim *shim)
{
	return thread_start("canceller", canceller_thread, shim);
}
