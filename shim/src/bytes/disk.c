/* SPDX-License-Identifier: MIT
 *
 * The disk threads: reads that may wait for a disk, opening a lease's file included. Rows LOCAL (from a
 * worker) or DONE (from the completion thread) come with their request; the thread replies, or gives the row
 * to control. Started when all are at work, and ended after two idle seconds. A thread that hands a row over holds a
 * mutex for a few stores.
 *
 * A disk may hang for ever, so no file and no root ever has all threads: a few for each lease, three quarters for each
 * root. The canceller takes the request out of a row that hangs here and answers it; the row is freed when its thread
 * comes back.
 */
#include "bytes/bytes.h"
#include "bytes/disk.h"
#include "life/base.h"
#include "life/life.h"
#include "request/request.h"
#include "shim.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define IDLE_NS	    UINT64_C(2000000000)
#define RESTART_NS  UINT64_C(100000000) /* between two attempts to start a thread that cannot be started */
#define RETRY_NS    UINT64_C(20000000)
#define RETRY_TURNS 16u /* six seconds and a half: 20, 40, 80, 160, 320, then 500 ms each */

int disk_open(struct disk *disk)
{
	pthread_condattr_t attributes;
	int error;

	*disk = (struct disk){.head = SHIM_NONE, .tail = SHIM_NONE};
	pthread_mutex_init(&disk->lock, NULL);
	error = pthread_condattr_init(&attributes);
	if (error)
		return -error;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	error = pthread_cond_init(&disk->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	return -error;
}

bool disk_is_idle(struct disk *disk)
{
	bool idle;

	pthread_mutex_lock(&disk->lock);
	idle = disk->head == SHIM_NONE && disk->idle == disk->threads;
	pthread_mutex_unlock(&disk->lock);
	return idle;
}

bool disk_may_run(const struct disk *disk, uint64_t lease, uint32_t root)
{
	uint32_t of_lease = 0, of_root = 0;

	for (uint32_t i = 0; i < SHIM_DISK_THREADS; i++) {
		of_lease += disk->busy[i].lease == lease;
		of_root += disk->busy[i].lease != 0 && disk->busy[i].root == root;
	}
	return of_lease < SHIM_DISK_PER_LEASE && of_root < SHIM_DISK_PER_ROOT;
}

/* The queue, under the lock. */

static void append(struct shim *shim, uint32_t index)
{
	struct disk *disk = &shim->disk;

	shim->ring.entries[index].job_next = SHIM_NONE;
	if (disk->tail == SHIM_NONE)
		disk->head = index;
	else
		shim->ring.entries[disk->tail].job_next = index;
	disk->tail = index;
	disk->queued++;
}

static void unlink_job(struct shim *shim, uint32_t index, uint32_t before)
{
	struct disk *disk = &shim->disk;
	uint32_t next = shim->ring.entries[index].job_next;

	if (before == SHIM_NONE)
		disk->head = next;
	else
		shim->ring.entries[before].job_next = next;
	if (disk->tail == index)
		disk->tail = before;
	disk->queued--;
}

/* The first job that may run, taken out of the queue; SHIM_NONE if there is none, and when to look again. */
static uint32_t next_job(struct shim *shim, uint64_t *due)
{
	struct disk *disk = &shim->disk;
	uint64_t now = fsmvp_now();
	uint32_t before = SHIM_NONE;

	*due = now + IDLE_NS;
	for (uint32_t index = disk->head; index != SHIM_NONE;
	     before = index, index = shim->ring.entries[index].job_next) {
		const struct ring_entry *entry = &shim->ring.entries[index];

		if (entry->job_at > now) {
			*due = entry->job_at < *due ? entry->job_at : *due;
			continue;
		}
		if (!disk_may_run(disk, entry->job_lease, entry->job_root))
			continue;
		unlink_job(shim, index, before);
		return index;
	}
	return SHIM_NONE;
}

/* A failure of the machine, not of the bytes: the job comes again, a little later each time. False: it has come often
 * enough, or the canceller has answered its request. */
static bool put_off(struct shim *shim, uint32_t index)
{
	struct ring_entry *entry = &shim->ring.entries[index];
	struct disk *disk = &shim->disk;
	bool again;
	uint64_t wait;

	if (entry->job_tries >= RETRY_TURNS)
		return false;
	wait = RETRY_NS << (entry->job_tries < 5 ? entry->job_tries : 5);
	entry->job_tries++;
	pthread_mutex_lock(&disk->lock);
	again = entry->job != 0;
	if (again) {
		ring_hand_on(&shim->ring, index);
		entry->job_at = fsmvp_now() + (wait < UINT64_C(500000000) ? wait : UINT64_C(500000000));
		append(shim, index);
		pthread_cond_signal(&disk->wake);
	}
	pthread_mutex_unlock(&disk->lock);
	return again;
}

/* The request, for this thread to answer; NULL if the canceller has answered it. */
static struct fuse_req *take_job(struct disk *disk, struct ring_entry *entry)
{
	struct fuse_req *request;

	pthread_mutex_lock(&disk->lock);
	request = (struct fuse_req *)(uintptr_t)entry->job;
	entry->job = 0;
	pthread_mutex_unlock(&disk->lock);
	return request;
}

struct fuse_req *disk_take_back(struct shim *shim, struct row row, bool *was_queued)
{
	struct ring_entry *entry = &shim->ring.entries[row.index];
	struct disk *disk = &shim->disk;
	struct fuse_req *request = NULL;
	uint32_t before = SHIM_NONE;

	*was_queued = false;
	pthread_mutex_lock(&disk->lock);
	if (entry->job != 0 && entry->job_generation == row.generation) {
		request = (struct fuse_req *)(uintptr_t)entry->job;
		entry->job = 0;
		for (uint32_t index = disk->head; index != SHIM_NONE;
		     before = index, index = shim->ring.entries[index].job_next) {
			if (index != row.index)
				continue;
			unlink_job(shim, index, before);
			*was_queued = true;
			break;
		}
	}
	pthread_mutex_unlock(&disk->lock);
	return request;
}

static void run(struct shim *shim, uint32_t thread, uint32_t index)
{
	struct ring_entry *entry = &shim->ring.entries[index];
	struct row row = {index, entry->job_generation};
	struct buffer *buffer = &shim->disk.buffers[thread];
	uint32_t state = fsmvp_low(fsmvp_load_acquire(&shim->region.words[index]));
	bool done = state == FSMVP_DONE;
	uint32_t size = entry->job_size;
	uint32_t vouched = fsmvp_load_relaxed32(&shim->region.slots[index].window_generation);
	uint64_t how = LEASE_MAY_BLOCK | (done ? lease_vouched(vouched) : 0u);
	struct fuse_req *request;
	ssize_t got;

	/* A successor that is killed before it has adopted everything has begun nothing. */
	gate_pass();
	ring_begin(&shim->ring, index);
	KILL_POINT("disk.begun");
	buffer_enter(buffer);
	got = lease_read(&shim->leases, entry->job_lease, entry->node, entry->offset, size, how, thread,
			 buffer->bytes);
	if (got < 0 && lease_error(got) == LEASE_SHORTAGE && put_off(shim, index))
		goto out_leave;
	request = take_job(&shim->disk, entry);
	if (!request)
		ring_free(&shim->ring, row, state);
	else if (got == (ssize_t)size || (got >= 0 && !done))
		reply_read(shim, row, state, request, buffer->bytes, (size_t)got);
	else if (done || lease_error(got) == LEASE_SHORTAGE)
		reply_unread(shim, row, state, request, got);
	else
		submit_row(shim, row, request);
out_leave:
	buffer_leave(buffer);
}

struct disk_thread {
	struct shim *shim;
	uint32_t number;
};

/* False: nothing came for so long that the thread may end. */
static bool wait_for_job(struct disk *disk, uint64_t due)
{
	struct timespec until = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
	int error;

	disk->idle++;
	error = pthread_cond_timedwait(&disk->wake, &disk->lock, &until);
	disk->idle--;
	return error != ETIMEDOUT || disk->head != SHIM_NONE || disk->threads <= SHIM_DISK_KEPT;
}

static void *disk_thread(void *argument)
{
	struct disk_thread self = *(struct disk_thread *)argument;
	struct disk *disk = &self.shim->disk;

	pthread_mutex_lock(&disk->lock);
	for (;;) {
		uint64_t due;
		uint32_t index = next_job(self.shim, &due);

		if (index == SHIM_NONE) {
			if (wait_for_job(disk, due))
				continue;
			break;
		}
		disk->busy[self.number].lease = self.shim->ring.entries[index].job_lease;
		disk->busy[self.number].root = self.shim->ring.entries[index].job_root;
		/* This thread may hang now, and it may be the one that knew when the next job is due. */
		if (disk->head != SHIM_NONE)
			pthread_cond_signal(&disk->wake);
		pthread_mutex_unlock(&disk->lock);
		run(self.shim, self.number, index);
		pthread_mutex_lock(&disk->lock);
		disk->busy[self.number].lease = 0;
	}
	disk->there[self.number] = false;
	disk->threads--;
	pthread_mutex_unlock(&disk->lock);
	return NULL;
}

/* Under the lock. A thread that cannot be started now is tried again; meanwhile the jobs wait for the others. */
static int start_thread(struct shim *shim)
{
	static struct disk_thread arguments[SHIM_DISK_THREADS];
	struct disk *disk = &shim->disk;
	uint32_t number = 0;
	int error = 0;

	while (disk->there[number])
		number++;
	if (!disk->buffers[number].bytes)
		error = buffer_create(&disk->buffers[number]);
	arguments[number] = (struct disk_thread){shim, number};
	if (!error)
		error = thread_start("disk", disk_thread, &arguments[number]);
	if (error) {
		disk->start_at = fsmvp_now() + RESTART_NS;
		return error;
	}
	disk->there[number] = true;
	disk->threads++;
	return 0;
}

int disk_start(struct shim *shim)
{
	int error;

	pthread_mutex_lock(&shim->disk.lock);
	error = start_thread(shim);
	pthread_mutex_unlock(&shim->disk.lock);
	return error;
}

/* Under the lock: one more thread, if the others do not do and this job could run on it. True: that was tried. */
static bool grow(struct shim *shim, const struct ring_entry *job)
{
	struct disk *disk = &shim->disk;

	if (disk->queued <= disk->idle || disk->threads >= SHIM_DISK_THREADS ||
	    !disk_may_run(disk, job->job_lease, job->job_root) ||
	    (disk->start_at != 0 && fsmvp_now() < disk->start_at))
		return false;
	start_thread(shim);
	return true;
}

void disk_tend(struct shim *shim)
{
	struct disk *disk = &shim->disk;

	pthread_mutex_lock(&disk->lock);
	/* The first ones may wait for files that hang. */
	for (uint32_t index = disk->head; index != SHIM_NONE; index = shim->ring.entries[index].job_next) {
		if (grow(shim, &shim->ring.entries[index]))
			break;
	}
	pthread_mutex_unlock(&disk->lock);
}

void disk_hand(struct shim *shim, struct row row, struct fuse_req *request, uint64_t lease, uint32_t size)
{
	struct ring_entry *entry = &shim->ring.entries[row.index];
	struct disk *disk = &shim->disk;

	ring_hand_on(&shim->ring, row.index);
	pthread_mutex_lock(&disk->lock);
	entry->job = (uint64_t)(uintptr_t)request;
	entry->job_lease = lease;
	entry->job_root = lease_root(&shim->leases, lease);
	entry->job_size = size;
	entry->job_generation = row.generation;
	entry->job_tries = 0;
	entry->job_at = 0;
	append(shim, row.index);
	grow(shim, entry);
	pthread_cond_signal(&disk->wake);
	pthread_mutex_unlock(&disk->lock);
	canceller_wake(shim, false);
}
