/* SPDX-License-Identifier: MIT
 *
 * The invalidator: carries out control's orders to the kernel's caches, one after another. Each waits until a
 * completion walk that began after the order came has ended, so that what control completed before it is in
 * the kernel first. It may wait for locked pages of the inode, which other threads of ours answer; never for
 * a directory's lock (no INVAL_ENTRY here). Its queue is struct invalidator, a member of struct shim: the link thread
 * puts orders in, under its lock.
 */
#include "link/link.h"
#include "life/base.h"
#include "life/life.h"
#include "request/request.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

void invalidate_walk_begins(struct invalidator *invalidator)
{
	fsmvp_store_release(&invalidator->walk_begun, fsmvp_load_relaxed(&invalidator->walk_begun) + 1);
	fsmvp_fence_full();
}

void invalidate_walk_ended(struct invalidator *invalidator)
{
	fsmvp_store_release(&invalidator->walk_ended, fsmvp_load_relaxed(&invalidator->walk_begun));
	fsmvp_fence_full();
	if (fsmvp_load_relaxed32(&invalidator->waiting) == 0)
		return;
	pthread_mutex_lock(&invalidator->lock);
	pthread_cond_signal(&invalidator->wake);
	pthread_mutex_unlock(&invalidator->lock);
}

void invalidate_order(struct shim *shim, const struct fsmvp_invalidate *what, uint64_t number,
		      uint64_t connection)
{
	struct invalidator *invalidator = &shim->invalidator;
	struct invalidation *order = malloc(sizeof(*order));

	if (!order) {
		log_write(LOG_ERROR, "no memory for an order");
		link_distrust(); /* control sends it again over the next link */
		return;
	}
	*order = (struct invalidation){
	    .what = *what,
	    .number = number,
	    .connection = connection,
	    .walk = fsmvp_load_acquire(&invalidator->walk_begun),
	};
	pthread_mutex_lock(&invalidator->lock);
	*invalidator->tail = order;
	invalidator->tail = &order->next;
	pthread_cond_signal(&invalidator->wake);
	pthread_mutex_unlock(&invalidator->lock);
}

static struct invalidation *next_order(struct invalidator *invalidator)
{
	struct invalidation *order;

	pthread_mutex_lock(&invalidator->lock);
	while (!invalidator->head)
		pthread_cond_wait(&invalidator->wake, &invalidator->lock);
	order = invalidator->head;
	invalidator->head = order->next;
	if (!invalidator->head)
		invalidator->tail = &invalidator->head;
	pthread_mutex_unlock(&invalidator->lock);
	return order;
}

static void await_walk(struct shim *shim, uint64_t walk)
{
	struct invalidator *invalidator = &shim->invalidator;

	bell_ring(shim->shim_bell);
	pthread_mutex_lock(&invalidator->lock);
	fsmvp_store_relaxed32(&invalidator->waiting, 1);
	fsmvp_fence_full();
	while (fsmvp_load_acquire(&invalidator->walk_ended) <= walk)
		pthread_cond_wait(&invalidator->wake, &invalidator->lock);
	fsmvp_store_relaxed32(&invalidator->waiting, 0);
	pthread_mutex_unlock(&invalidator->lock);
}

static void *invalidator_thread(void *argument)
{
	struct shim *shim = argument;

	gate_pass();
	for (;;) {
		struct invalidation *order = next_order(&shim->invalidator);
		int error;

		await_walk(shim, order->walk);
		KILL_POINT("invalidate.walked");
		error = fuse_lowlevel_notify_inval_inode(
		    shim->session, order->what.node, (off_t)order->what.offset, (off_t)order->what.length);
		/* ENOENT: the kernel does not know the node, so it keeps nothing of it. */
		if (error != 0 && error != -ENOENT && error != -ENOSYS)
			log_write(LOG_WARNING, "invalidating node %llu: %s",
				  (unsigned long long)order->what.node, strerror(-error));
		KILL_POINT("invalidate.done");
		acknowledge(order->number, order->connection);
		free(order);
	}
	return NULL;
}

int invalidate_start(struct shim *shim)
{
	struct invalidator *invalidator = &shim->invalidator;

	pthread_mutex_init(&invalidator->lock, NULL);
	pthread_cond_init(&invalidator->wake, NULL);
	invalidator->tail = &invalidator->head;
	return thread_start("invalidator", invalidator_thread, shim);
}
