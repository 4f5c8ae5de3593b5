/* SPDX-License-Identifier: MIT
 *
 * Watching another process until it has ended for sure. Main thread of a standby; waits for that end. Proof is a
 * readable pidfd, no such process, or another start time under its number; an error of any other kind says nothing.
 * Without a pidfd (a sandbox, an old kernel, no descriptor left) /proc is asked every few milliseconds instead.
 * struct watch is its caller's, descriptor and all. */
#include "life/base.h"
#include "life/life.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 10 /* a fiftieth of a per cent of a processor, and far below what control waits for a claim */

void watch_begin(struct watch *watch, uint64_t identity)
{
	*watch = (struct watch){.identity = identity, .pidfd = -1};
}

void watch_end(struct watch *watch)
{
	if (watch->pidfd >= 0)
		close(watch->pidfd);
	watch->pidfd = -1;
	watch->is_proved = false;
}

/* Tried again at each wait: descriptors and memory come back. */
static void open_pidfd(struct watch *watch)
{
	watch->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)fsmvp_low(watch->identity), 0);
	if (watch->pidfd >= 0 || errno == ESRCH || watch->is_told)
		return;
	log_write(LOG_NOTICE, "no pidfd of process %u (%s): /proc is asked instead",
		  fsmvp_low(watch->identity), strerror(errno));
	watch->is_told = true;
}

/* A look at the process under that number. If it is still the one that is watched, and a pidfd of that number was had
 * before, the pidfd is its own, whatever is known later. */
static bool has_ended(struct watch *watch)
{
	enum fsmvp_life life = fsmvp_process_life(watch->identity);

	watch->is_running = life == FSMVP_LIFE_RUNS;
	watch->is_proved |= watch->is_running && watch->pidfd >= 0;
	return life == FSMVP_LIFE_ENDED;
}

/* 1 ended, 0 not yet, -1 the pidfd is of no use. */
static int wait_by_pidfd(const struct watch *watch, int timeout_ms)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = watch->pidfd, .events = POLLIN};
		int ready = poll(&poll_fd, 1, timeout_ms);

		if (ready == 0)
			return 0;
		if (ready > 0)
			return poll_fd.revents & POLLIN ? 1 : -1;
		if (errno != EINTR)
			return -1;
	}
}

bool watch_wait(struct watch *watch, int timeout_ms)
{
	if (watch->pidfd < 0)
		open_pidfd(watch);
	/* Looked at after the descriptor was had: from here on its number is not given to another. */
	if (has_ended(watch))
		return true;
	if (watch->pidfd >= 0) {
		int ended = wait_by_pidfd(watch, timeout_ms);

		if (ended >= 0)
			return ended == 1;
		watch_end(watch);
	}
	for (int waited = 0; waited < timeout_ms; waited += LOOK_MS) {
		struct timespec rest = {.tv_nsec = LOOK_MS * 1000000L};

		nanosleep(&rest, NULL);
		if (has_ended(watch))
			return true;
	}
	return false;
}

int watch_kill(struct watch *watch)
{
	/* Neither its number nor a pidfd of it may be another process's. */
	if (has_ended(watch))
		return -ESRCH;
	if (watch->is_proved && syscall(SYS_pidfd_send_signal, watch->pidfd, SIGKILL, NULL, 0) == 0)
		return 0;
	if (!watch->is_running)
		return -EAGAIN;
	return kill((pid_t)fsmvp_low(watch->identity), SIGKILL) == 0 ? 0 : -errno;
}
