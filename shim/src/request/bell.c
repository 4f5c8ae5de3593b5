/* SPDX-License-Identifier: MIT
 *
 * Doorbells: eventfds, non-blocking from birth. Every thread rings; a waiting thread waits for the bell
 * alone. The descriptors are members of struct shim.
 */
#include "request/request.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int bell_create(void)
{
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return bell < 0 ? -errno : bell;
}

void bell_ring(int bell)
{
	uint64_t one = 1;

	/* EAGAIN: 2^64 - 2 rings have not been heard yet, so it is ringing. */
	while (write(bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

bool bell_wait(int bell, int timeout_ms)
{
	uint64_t rings;

	for (;;) {
		struct pollfd poll_fd = {.fd = bell, .events = POLLIN};
		int ready;

		if (read(bell, &rings, sizeof(rings)) == (ssize_t)sizeof(rings))
			return true;
		ready = poll(&poll_fd, 1, timeout_ms);
		if (ready == 0 || (ready < 0 && errno != EINTR))
			return false;
	}
}
