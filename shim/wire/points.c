/* SPDX-License-Identifier: MIT
 *
 * The points that fsmvp_points.h describes, for the builds that have them. Any thread; no lock; waits for its own end,
 * or for the test. */
#include "fsmvp_points.h"

#ifdef FSMVP_KILL_POINTS

#include "fsmvp_barrier.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fsmvp_kill *armed;

static void open_file(void)
{
	const char *path = getenv("FSMVP_KILL_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = MAP_FAILED;

	if (fd >= 0) {
		mapped = mmap(NULL, sizeof(*armed), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	armed = mapped == MAP_FAILED ? NULL : mapped;
}

void fsmvp_kill_point(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t left;

	pthread_once(&once, open_file);
	if (!armed || fsmvp_load_acquire(&armed->countdown) == 0 ||
	    strncmp(armed->name, name, sizeof(armed->name)) != 0)
		return;
	do {
		left = fsmvp_load_acquire(&armed->countdown);
		if (left == 0)
			return;
	} while (!fsmvp_cas(&armed->countdown, left, left - 1));
	if (left != 1)
		return;
	fsmvp_store_relaxed(&armed->pid, (uint64_t)getpid());
	if (fsmvp_load_acquire(&armed->holds)) {
		fsmvp_add_release(&armed->fired, 1);
		while (fsmvp_load_acquire(&armed->holds))
			usleep(500);
		return;
	}
	if (fsmvp_load_acquire(&armed->again) != 0) {
		fsmvp_add_relaxed(&armed->again, UINT64_MAX);
		fsmvp_store_release(&armed->countdown, 1);
	}
	fsmvp_add_release(&armed->fired, 1);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

#else

/* ISO C forbids an empty file. */
typedef int fsmvp_no_kill_points;

#endif
