/* SPDX-License-Identifier: MIT
 *
 * Handing over in order: the workers finish what they hold and read no more, the disk threads and the completion
 * thread finish theirs, then the process ends and the standby goes on. Its own thread. None of it is needed
 * for the protocol, which stands a death at any instruction, so nothing here is waited for without end. An order of
 * control begins it, once; it keeps no other state.
 */
#include "life/base.h"
#include "life/life.h"
#include "bytes/disk.h"
#include "request/request.h"
#include "shim.h"

#include <signal.h>
#include <unistd.h>

#define STEP_US	       500
#define WORKER_STEPS   2000 /* 1 s */
#define DISK_STEPS     400
#define COMPLETE_STEPS 200

/* Only to interrupt a read of /dev/fuse that waits; a request that it has taken it gives back first. */
static void nothing(int signal)
{
	(void)signal;
}

void drain_prepare(void)
{
	struct sigaction action = {.sa_handler = nothing};

	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR2, &action, NULL);
}

static void *drain_thread(void *argument)
{
	struct shim *shim = argument;

	fsmvp_store_relaxed(&shim->region.header->killed_at, fsmvp_now());
	gate_close();
	for (int i = 0; i < WORKER_STEPS && fsmvp_load_acquire(&shim->workers_left) < shim->options.workers;
	     i++) {
		worker_interrupt(shim);
		usleep(STEP_US);
	}
	KILL_POINT("drain.parked");
	for (int i = 0; i < DISK_STEPS && !disk_is_idle(&shim->disk); i++)
		usleep(STEP_US);
	bell_ring(shim->shim_bell);
	for (int i = 0; i < COMPLETE_STEPS && fsmvp_load_acquire(&shim->completion_left) == 0; i++)
		usleep(STEP_US);
	_exit(0);
}

void drain_start(struct shim *shim)
{
	static uint64_t once;

	if (fsmvp_exchange(&once, 1) == 0 && thread_start("drain", drain_thread, shim) != 0)
		fsmvp_store_release(&once, 0);
}
