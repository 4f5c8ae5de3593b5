/* SPDX-License-Identifier: MIT
 *
 * Waking the canceller and the link thread. Every thread; waits for nothing. Nothing here calls the file of the thread
 * that is woken, so any file may wake any thread without a circle of files. */
#include "life/base.h"
#include "request/request.h"
#include "shim.h"

/* The link thread's wake: atomic, but for `send_to_link`, which is written before `link_runs`. */
static void (*send_to_link)(void);
static uint64_t link_runs;
static uint64_t distrusted;

void canceller_wake(struct shim *shim, bool hurry)
{
	if (hurry)
		fsmvp_add_relaxed(&shim->hurry, 1);
	fsmvp_fence_full();
	if (hurry || fsmvp_load_relaxed(&shim->canceller_parked))
		bell_ring(shim->canceller_bell);
}

void link_wakes_by(void (*send)(void))
{
	send_to_link = send;
	fsmvp_store_release(&link_runs, 1);
}

void link_wake(void)
{
	if (fsmvp_load_acquire(&link_runs))
		send_to_link();
}

void link_distrust(void)
{
	fsmvp_store_release(&distrusted, 1);
	link_wake();
}

bool link_take_distrust(void)
{
	return fsmvp_exchange(&distrusted, 0) != 0;
}
