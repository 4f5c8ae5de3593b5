/* SPDX-License-Identifier: MIT
 *
 * The disk threads: reads that may wait for a disk, opening a lease's file included. Rows LOCAL (from a
 * worker) or DONE (from the completion thread) come with their request; the thread replies, or gives the row
 * to control. Started on demand. Who hands a row over holds a mutex for a few stores.
 *
 * One lease never has all threads: a file on a stuck disk must not hold up the others.
 */
#include "shim.h"

int disk_open(struct disk *disk)
{
	int error = 0;

	*disk = (struct disk){.head = SHIM_NONE, .tail = SHIM_NONE};
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->wake, NULL);
	for (uint32_t i = 0; !error && i < SHIM_DISK_THREADS; i++)
		error = buffer_create(&disk->buffers[i]);
	return error;
}

bool disk_is_idle(struct disk *disk)
{
	bool idle;

	pthread_mutex_lock(&disk->lock);
	idle = disk->head == SHIM_NONE && disk->idle == disk->threads;
	pthread_mutex_unlock(&disk->lock);
	return idle;
}

static bool may_run(const struct disk *disk, uint64_t lease)
{
	uint32_t busy = 0;

	for (uint32_t i = 0; i < SHIM_DISK_THREADS; i++)
		busy += disk->busy[i] == lease;
	return busy < SHIM_DISK_THREADS - 1;
}

/* The first job that may run, taken out of the queue; SHIM_NONE if there is none. Under the lock. */
static uint32_t next_job(struct shim *shim)
{
	struct disk *disk = &shim->disk;
	uint32_t before = SHIM_NONE;

	for (uint32_t index = disk->head; index != SHIM_NONE;
	     before = index, index = shim->ring.entries[index].job_next) {
		uint32_t next = shim->ring.entries[index].job_next;

		if (!may_run(disk, shim->ring.entries[index].job_lease))
			continue;
		if (before == SHIM_NONE)
			disk->head = next;
		else
			shim->ring.entries[before].job_next = next;
		if (disk->tail == index)
			disk->tail = before;
		return index;
	}
	return SHIM_NONE;
}

static void run(struct shim *shim, uint32_t thread, uint32_t index)
{
	struct ring_entry *entry = &shim->ring.entries[index];
	struct row row = {index, entry->job_generation};
	struct fuse_req *request = (struct fuse_req *)(uintptr_t)entry->job;
	struct buffer *buffer = &shim->disk.buffers[thread];
	uint32_t state = fsmvp_low(fsmvp_load_acquire(&shim->region.words[index]));
	bool done = state == FSMVP_DONE;
	uint32_t size = entry->job_size;
	unsigned how = LEASE_MAY_BLOCK | (done ? LEASE_VOUCHED : 0u);
	ssize_t got;

	buffer_enter(buffer);
	got = lease_read(&shim->leases, entry->job_lease, entry->node, entry->offset, size, how, thread,
			 buffer->bytes);
	if (got == (ssize_t)size || (got >= 0 && !done))
		reply_read(shim, row, state, request, buffer->bytes, (size_t)got);
	else if (done)
		reply_bad(shim, row, request, got);
	else
		forward_row(shim, row, request);
	buffer_leave(buffer);
}

struct disk_thread {
	struct shim *shim;
	uint32_t number;
};

static void *disk_thread(void *argument)
{
	struct disk_thread self = *(struct disk_thread *)argument;
	struct disk *disk = &self.shim->disk;

	pthread_mutex_lock(&disk->lock);
	for (;;) {
		uint32_t index = next_job(self.shim);

		if (index == SHIM_NONE) {
			disk->idle++;
			pthread_cond_wait(&disk->wake, &disk->lock);
			disk->idle--;
			continue;
		}
		disk->busy[self.number] = self.shim->ring.entries[index].job_lease;
		pthread_mutex_unlock(&disk->lock);
		run(self.shim, self.number, index);
		pthread_mutex_lock(&disk->lock);
		disk->busy[self.number] = 0;
	}
	return NULL;
}

/* Under the lock. A thread that cannot be started is one fewer. */
static void start_thread(struct shim *shim)
{
	static struct disk_thread arguments[SHIM_DISK_THREADS];
	struct disk *disk = &shim->disk;
	uint32_t number = disk->threads;

	arguments[number] = (struct disk_thread){shim, number};
	if (thread_start("disk", disk_thread, &arguments[number]) == 0)
		disk->threads++;
}

void disk_hand(struct shim *shim, struct row row, struct fuse_req *request, uint64_t lease, uint32_t size)
{
	struct ring_entry *entry = &shim->ring.entries[row.index];
	struct disk *disk = &shim->disk;

	pthread_mutex_lock(&disk->lock);
	entry->job = (uint64_t)(uintptr_t)request;
	entry->job_lease = lease;
	entry->job_size = size;
	entry->job_generation = row.generation;
	entry->job_next = SHIM_NONE;
	if (disk->tail == SHIM_NONE)
		disk->head = row.index;
	else
		shim->ring.entries[disk->tail].job_next = row.index;
	disk->tail = row.index;
	if (disk->idle == 0 && disk->threads < SHIM_DISK_THREADS)
		start_thread(shim);
	pthread_cond_signal(&disk->wake);
	pthread_mutex_unlock(&disk->lock);
}
