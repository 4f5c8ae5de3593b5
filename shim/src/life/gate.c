/* SPDX-License-Identifier: MIT
 *
 * The gate at which a successor's threads, made beforehand, wait until there is something for them to do; and
 * the way out again for the threads of a shim that hands over. Every thread; waits for the gate alone. Its state stands
 * here: a flag under a lock, and an atomic one.
 */
#include "life/life.h"

#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool is_open; /* by lock */
static uint64_t closing;

void gate_pass(void)
{
	pthread_mutex_lock(&lock);
	while (!is_open)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
}

void gate_open(void)
{
	pthread_mutex_lock(&lock);
	is_open = true;
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
