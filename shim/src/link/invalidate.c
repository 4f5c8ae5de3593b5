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
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define ATTRIBUTES (-1) /* the offset that says: no pages */
/* FUSE_NOTIFY_INC_EPOCH: names that were looked up before are asked for again. */
#define INC_EPOCH 8

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

void invalidate_order(struct shim *shim, const struct fsmvp_frame *frame, const uint8_t *body,
		      uint64_t connection)
{
	struct invalidator *invalidator = &shim->invalidator;
	size_t length = frame->length - sizeof(*frame);
	struct invalidation *order = malloc(sizeof(*order) + length);
	struct fsmvp_invalidate what;

	if (!order) {
		log_write(LOG_ERROR, "no memory for an order");
		link_distrust(); /* control sends it again over the next link */
		return;
	}
	*order = (struct invalidation){
	    .number = frame->number,
	    .connection = connection,
	    .walk = fsmvp_load_acquire(&invalidator->walk_begun),
	    .offset = ATTRIBUTES,
	};
	if (frame->type == FSMVP_FRAME_INVALIDATE_NODES) {
		order->count = (uint32_t)(length / sizeof(uint64_t));
		memcpy(order->nodes, body, length);
	} else if (frame->type == FSMVP_FRAME_INVALIDATE) {
		memcpy(&what, body, sizeof(what));
		order->count = 1;
		order->nodes[0] = what.node;
		order->offset = what.offset;
		order->length = what.length;
	}
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

static void forget_node(struct shim *shim, uint64_t node, int64_t offset, int64_t length)
{
	int error = fuse_lowlevel_notify_inval_inode(shim->session, node, (off_t)offset, (off_t)length);

	/* ENOENT: the kernel does not know the node, so it keeps nothing of it. */
	if (error != 0 && error != -ENOENT && error != -ENOSYS)
		log_write(LOG_WARNING, "invalidating node %llu: %s", (unsigned long long)node,
			  strerror(-error));
	KILL_POINT("invalidate.told");
}

/* A kernel that cannot is asked once: control reads the answer in the header, and says the nodes instead. libfuse does
 * not know this notification yet. */
static void forget_names(struct shim *shim)
{
	struct fsmvp_header *header = shim->region.header;
	struct fuse_out_header out = {.len = sizeof(out), .error = INC_EPOCH};
	struct iovec part = {.iov_base = &out, .iov_len = sizeof(out)};
	bool is_known = fsmvp_load_acquire32(&header->epochs) != FSMVP_EPOCHS_LACKING &&
			session_write(shim->fuse_fd, &part, 1) >= 0;

	KILL_POINT("invalidate.told");
	fsmvp_store_release32(&header->epochs, is_known ? FSMVP_EPOCHS_KNOWN : FSMVP_EPOCHS_LACKING);
}

static void *invalidator_thread(void *argument)
{
	struct shim *shim = argument;

	gate_pass();
	for (;;) {
		struct invalidation *order = next_order(&shim->invalidator);

		await_walk(shim, order->walk);
		KILL_POINT("invalidate.walked");
		for (uint32_t i = 0; i < order->count; i++)
			forget_node(shim, order->nodes[i], order->offset, order->length);
		if (order->count == 0)
			forget_names(shim);
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
