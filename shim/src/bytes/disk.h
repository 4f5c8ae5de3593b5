/* SPDX-License-Identifier: MIT
 *
 * The disk threads, which read what a row of the ring asks for and reply. No other file of this folder knows the ring.
 * The queue and the list of busy threads are struct disk, a member of struct shim, under its lock.
 */
#ifndef FSMVP_DISK_H
#define FSMVP_DISK_H

#include "bytes/bytes.h"
#include "request/request.h"

#include <pthread.h>

/* So many threads stay when there is nothing to do; so many may read from one file, and so many from one root. */
#define SHIM_DISK_KEPT	    2u
#define SHIM_DISK_PER_LEASE 4u
#define SHIM_DISK_PER_ROOT  48u

struct disk_place {
	uint64_t lease; /* what the thread reads from; 0 idle */
	uint32_t root;
};
struct disk {
	pthread_mutex_t lock; /* protects all but the buffers */
	pthread_cond_t wake;
	uint32_t threads;
	uint32_t idle;
	uint32_t head, tail, queued;
	uint64_t start_at; /* no thread could be started: not before that; CLOCK_MONOTONIC ns */
	bool there[SHIM_DISK_THREADS];
	struct disk_place busy[SHIM_DISK_THREADS];
	struct buffer buffers[SHIM_DISK_THREADS];
};
int disk_open(struct disk *disk);
bool disk_is_idle(struct disk *disk);
/* The first thread, so that there is always one. 0 or a negative errno. */
int disk_start(struct shim *shim);
/* Starts a thread for what waits in the queue, if one could not be started before. */
void disk_tend(struct shim *shim);
/* Whether one more thread may read from that lease. Under the lock. */
bool disk_may_run(const struct disk *disk, uint64_t lease, uint32_t root);
/* The request of a row that the disk threads have, for the caller to answer; NULL: it is not theirs. A row that was
 * still queued is the caller's to free, after the answer. */
struct fuse_req *disk_take_back(struct shim *shim, struct row row, bool *was_queued);
/* The row is LOCAL or DONE, its request the caller's, which touches neither afterwards. */
void disk_hand(struct shim *shim, struct row row, struct fuse_req *request, uint64_t lease, uint32_t size);

#endif
