/* SPDX-License-Identifier: MIT
 *
 * Workers: read a request from /dev/fuse straight into the region, hand it to libfuse, whose handlers (ops.c)
 * answer or forward it. They wait for the kernel's next request and for nothing else. Also how threads are
 * started.
 */
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct worker {
	struct shim *shim;
	uint32_t number;
	pthread_t thread;
	uint64_t is_there; /* `thread` is set */
} workers[FSMVP_WORKERS_MAX];

int thread_start(const char *name, void *(*body)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SHIM_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, body, argument);
	pthread_attr_destroy(&attributes);
	if (error) {
		log_write(LOG_ERROR, "cannot start thread %s: %s", name, strerror(error));
		return -error;
	}
	pthread_setname_np(thread, name);
	return 0;
}

/* The mount is gone, by unmount or abort: there is nothing left to do and nobody to tell. */
static bool is_the_end(int error)
{
	return error == ENODEV || error == ECONNABORTED || error == ENOTCONN;
}

static void read_failed(int error)
{
	static uint64_t said;

	/* ENOENT: the request was taken back before it was read. */
	if (error == EINTR || error == EAGAIN || error == ENOENT)
		return;
	if (fsmvp_exchange(&said, 1) == 0)
		log_write(LOG_ERROR, "reading /dev/fuse: %s", strerror(error));
	usleep(10000); /* not a busy loop, whatever it is */
}

static void serve(struct shim *shim, struct fuse_in_header *in, size_t length)
{
	struct fuse_buf buffer = {.size = length, .mem = in};

	switch (in->opcode) {
	case FUSE_INTERRUPT:
		canceller_wake(shim, true);
		break;
	case FUSE_FORGET: /* a hint that nobody needs: node ids are control's and stand */
	case FUSE_BATCH_FORGET:
		break;
	default:
		fuse_session_process_buf(shim->session, &buffer);
		if (fsmvp_load_relaxed32(&in->len) != 0) /* libfuse answered it alone */
			answered_inline(shim, FSMVP_OP_OTHER);
	}
}

/* What a dead shim's worker had in hand. Of requests answered already the kernel knows nothing any more.
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

	self->thread = pthread_self();
	fsmvp_store_release(&self->is_there, 1);
	current.number = self->number;
	current.raw = row;
	current.in_hand = &in->len;
	current.buffer = &shim->buffers[self->number];
	gate_pass();
	if (fsmvp_load_acquire32(&in->len) != 0)
		replay(shim, in);
	for (;;) {
		ssize_t got;

		fsmvp_store_release32(&in->len, 0);
		gate_leave(&shim->workers_left);
		got = read(shim->fuse_fd, row, FSMVP_RECEIVE_SIZE);
		KILL_POINT("worker.read");
		if (got < 0 && is_the_end(errno))
			_exit(0);
		if (got < (ssize_t)sizeof(*in)) {
			read_failed(got < 0 ? errno : EPROTO);
			continue;
		}
		current.taken_at = fsmvp_now();
		current.length = (uint32_t)got;
		serve(shim, in, (size_t)got);
	}
	return NULL;
}

void worker_start(struct shim *shim, uint32_t number)
{
	workers[number] = (struct worker){.shim = shim, .number = number};
	thread_start("worker", worker_thread, &workers[number]);
}

void worker_interrupt(struct shim *shim)
{
	for (uint32_t i = 0; i < shim->options.workers; i++) {
		if (fsmvp_load_acquire(&workers[i].is_there))
			pthread_kill(workers[i].thread, SIGUSR2);
	}
}
