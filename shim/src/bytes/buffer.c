/* SPDX-License-Identifier: MIT
 *
 * Resident buffers to read into and reply from: memory that could page-fault inside the reply would lose it
 * if the shim died then. One for each worker and disk thread and one for the completion thread; the link
 * thread gives idle ones back. The owner waits only for that giving back, microseconds, by yielding.
 */
#include "bytes/bytes.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

enum {
	IDLE = 0,
	BUSY = 1,
	TRIMMING = 2,
};
#define IDLE_NS UINT64_C(2000000000)

int buffer_create(struct buffer *buffer)
{
	void *bytes = mmap(NULL, FSMVP_READ_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED)
		return -errno;
	madvise(bytes, FSMVP_READ_MAX, MADV_NOHUGEPAGE);
	/* All else is 0 from the start, and buffer_trim may be looking at it already. */
	buffer->bytes = bytes;
	return 0;
}

void buffer_enter(struct buffer *buffer)
{
	while (!fsmvp_cas(&buffer->state, IDLE, BUSY))
		sched_yield();
	if (!fsmvp_load_relaxed(&buffer->resident)) {
		/* Locks each page as the read touches it. Refused where RLIMIT_MEMLOCK is small: then it is
		 * only warm. */
		mlock2(buffer->bytes, FSMVP_READ_MAX, MLOCK_ONFAULT);
		fsmvp_store_relaxed(&buffer->resident, 1);
	}
}

void buffer_leave(struct buffer *buffer)
{
	fsmvp_store_relaxed(&buffer->used_at, fsmvp_now());
	fsmvp_store_release(&buffer->state, IDLE);
}

bool buffer_trim(struct buffer *buffer, uint64_t now)
{
	uint64_t used_at = fsmvp_load_relaxed(&buffer->used_at);

	if (!fsmvp_load_relaxed(&buffer->resident) || now < used_at + IDLE_NS ||
	    !fsmvp_cas(&buffer->state, IDLE, TRIMMING))
		return false;
	munlock(buffer->bytes, FSMVP_READ_MAX);
	madvise(buffer->bytes, FSMVP_READ_MAX, MADV_DONTNEED);
	fsmvp_store_relaxed(&buffer->resident, 0);
	fsmvp_store_release(&buffer->state, IDLE);
	return true;
}
