/* SPDX-License-Identifier: MIT
 *
 * The gate that a successor's threads, made beforehand, wait at until there is something for them to do; and
 * the way out again for those that hand over. Every thread; whoever passes waits for the gate alone.
 */
#include "shim.h"

#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool open; /* by lock */
static uint64_t closing;

void gate_pass(void)
{
	pthread_mutex_lock(&lock);
	while (!open)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
}

void gate_open(void)
{
	pthread_mutex_lock(&lock);
	open = true;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
}

void gate_close(void)
{
	fsmvp_store_release(&closing, 1);
}

void gate_leave(uint64_t *left)
{
	if (!fsmvp_load_acquire(&closing))
		return;
	fsmvp_add_release(left, 1);
	for (;;)
		pause();
}
