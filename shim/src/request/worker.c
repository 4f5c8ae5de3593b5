/* SPDX-License-Identifier: MIT
 *
 * Workers: read a request from /dev/fuse straight into the region, hand it to libfuse, whose handlers (ops.c)
 * answer or forward it. They wait for the kernel's next request and for nothing else. Each owns its receive buffer, its
 * reply buffer and the request that it has in hand.
 */
#include "request/request.h"
#include "life/base.h"
#include "life/life.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FAILED_US    10000
#define FAILURES_MAX 300 /* 3 s */

static struct worker {
	struct shim *shim;
	uint32_t number;
	pthread_t thread;
	uint64_t is_there; /* `thread` is set */
} workers[FSMVP_WORKERS_MAX];

/* The mount is gone, by unmount or abort: there is nothing left to do and no caller to answer. */
static bool is_the_end(int error)
{
	return error == ENODEV || error == ECONNABORTED || error == ENOTCONN;
}

/* A worker that cannot read for so long is no use, and its shim none: another one may be able to. */
static void read_failed(int error, uint32_t *failures)
{
	static uint64_t said;

	/* ENOENT: the request was taken back before it was read. */
	if (error == EINTR || error == EAGAIN || error == ENOENT)
		return;
	if (fsmvp_exchange(&said, 1) == 0)
		log_write(LOG_ERROR, "reading /dev/fuse: %s", strerror(error));
	usleep(FAILED_US); /* not a busy loop, whatever it is */
	if (++*failures >= FAILURES_MAX)
		_exit(error == ENOMEM ? EX_TEMPFAIL : EXIT_FAILURE);
}

static void serve(struct shim *shim, struct fuse_in_header *in, size_t length)
{
	struct fuse_buf buffer = {.size = length, .mem = in};

	switch (in->opcode) {
	case FUSE_INTERRUPT:
		canceller_interrupt(shim, in, length);
		break;
	case FUSE_FORGET: /* a hint that is not needed: node ids are control's and stay valid */
	case FUSE_BATCH_FORGET:
		break;
	default:
		fuse_session_process_buf(shim->session, &buffer);
		if (fsmvp_load_relaxed32(&in->len) != 0) /* libfuse answered it alone */
			answered_inline(shim, FSMVP_OP_OTHER);
	}
}

/* Serves the request that a dead shim's worker had in hand. The kernel ignores a second answer to a request.
 *
 * The death that may come of it is counted beforehand, and workers take turns: a shim that is killed before it
 * began, or by the request of another worker, says nothing against this one. */
static void replay(struct shim *shim, struct fuse_in_header *in)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&turn);
	shim->region.header->receive_deaths[current.number]++;
	current.taken_at = fsmvp_now();
	current.length = in->len;
	serve(shim, in, in->len);
	pthread_mutex_unlock(&turn);
}

static void *worker_thread(void *argument)
{
	struct worker *self = argument;
	struct shim *shim = self->shim;
	uint8_t *row = shim->region.receive + (size_t)self->number * FSMVP_RECEIVE_SIZE;
	struct fuse_in_header *in = (void *)row;

	struct progress *progress = &shim->progress[self->number];
	uint32_t failures = 0; /* of reads, in a row */

	self->thread = pthread_self();
	fsmvp_store_release(&self->is_there, 1);
	current.number = self->number;
	current.raw = row;
	current.in_hand = &in->len;
	current.buffer = &shim->buffers[self->number];
	gate_pass();
	progress_begins(progress);
	if (fsmvp_load_acquire32(&in->len) != 0)
		replay(shim, in);
	for (;;) {
		ssize_t got;

		fsmvp_store_release32(&in->len, 0);
		progress_rests(progress);
		gate_leave(&shim->workers_left);
		standby_end_if_deposed(shim);
		got = read(shim->fuse_fd, row, FSMVP_RECEIVE_SIZE);
		progress_begins(progress);
		KILL_POINT("worker.read");
		if (got < 0 && is_the_end(errno))
			_exit(0);
		if (got < (ssize_t)sizeof(*in)) {
			read_failed(got < 0 ? errno : EPROTO, &failures);
			continue;
		}
		failures = 0;
		current.taken_at = fsmvp_now();
		current.length = (uint32_t)got;
		serve(shim, in, (size_t)got);
	}
	return NULL;
}

int worker_start(struct shim *shim, uint32_t number)
{
	workers[number] = (struct worker){.shim = shim, .number = number};
	return thread_start("worker", worker_thread, &workers[number]);
}

void worker_interrupt(struct shim *shim)
{
	for (uint32_t i = 0; i < shim->options.workers; i++) {
		if (fsmvp_load_acquire(&workers[i].is_there))
			pthread_kill(workers[i].thread, SIGUSR2);
	}
}
