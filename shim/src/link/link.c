/* SPDX-License-Identifier: MIT
 *
 * The link: libuv on the main thread. Accepts one control plane at a time, takes its orders, sends acknowledgements and
 * log lines, stamps the heartbeat while requests get on, gives idle memory back. No read ever waits for it. When
 * control goes, serving goes on and the next one is accepted. Blocks in the uv loop, and for a peer's hello. */
#include "link/link.h"
#include "bytes/bytes.h"
#include "life/base.h"
#include "life/life.h"
#include "request/request.h"
#include "shim.h"

#include <uv.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEARTBEAT_MS  500
#define REVOKE_MS     10
#define BACKLOG_BYTES 65536u /* of log lines; beyond it they are dropped */

/* The link thread's alone, but for what is named. */
static struct {
	struct shim *shim;
	uv_loop_t loop;
	uv_async_t wake; /* sent by any thread, with link_wake */
	uv_timer_t heartbeat;
	uv_timer_t revoke;
	uv_poll_t listening;
	uv_pipe_t *pipe; /* NULL: no control plane */
	int fd;
	uint64_t connection; /* counts them, so that an old one's acknowledgements do not reach a new one */
	int spare;	     /* a descriptor kept for the control plane that is to come; -1: in use */
	bool is_deaf;	     /* no descriptor at all: not listening until the next beat */
	struct progress_seen seen;
	size_t used;
	uint8_t bytes[2 * FSMVP_FRAME_MAX];
} self;

static void send_wake(void)
{
	uv_async_send(&self.wake);
}

static void pipe_closed(uv_handle_t *handle)
{
	free(handle);
}

static void hang_up(void)
{
	if (!self.pipe)
		return;
	uv_close((uv_handle_t *)self.pipe, pipe_closed);
	self.pipe = NULL;
	self.used = 0;
	log_link(NULL);
	lease_file_sweep(&self.shim->leases);
	log_write(LOG_NOTICE, "the control plane's link has ended; serving goes on");
}

struct sending {
	uv_write_t request;
	struct fsmvp_frame frame;
	uint32_t level;
	char text[sizeof(((struct log_line *)NULL)->text)];
};

/* A frame that is lost may be an acknowledgement, which control would wait for without end: it asks again over the next
 * link. */
static void sent(uv_write_t *request, int status)
{
	bool lost = status < 0 && request->handle == (uv_stream_t *)self.pipe;

	free(request);
	if (lost)
		hang_up();
}

static void send_frame(struct sending *sending, uint32_t type, uint64_t number, uint32_t body)
{
	uv_buf_t buffer = uv_buf_init((char *)&sending->frame, (unsigned)sizeof(sending->frame) + body);

	sending->frame = (struct fsmvp_frame){(uint32_t)buffer.len, type, number};
	if (uv_write(&sending->request, (uv_stream_t *)self.pipe, &buffer, 1, sent) != 0) {
		free(sending);
		hang_up();
	}
}
_Static_assert(offsetof(struct sending, level) ==
		   offsetof(struct sending, frame) + sizeof(struct fsmvp_frame),
	       "body");

static void send_log(const struct log_line *line)
{
	struct sending *sending = malloc(sizeof(*sending));

	if (!sending)
		return;
	sending->level = line->level;
	memcpy(sending->text, line->text, line->length);
	send_frame(sending, FSMVP_FRAME_LOG, 0, (uint32_t)sizeof(sending->level) + line->length);
}

static void flush_log(void)
{
	struct log_line line;

	/* Beyond that the queue drops and counts. */
	while (self.pipe && uv_stream_get_write_queue_size((uv_stream_t *)self.pipe) <= BACKLOG_BYTES &&
	       log_take(&line))
		send_log(&line);
}

static void flush_acknowledged(void)
{
	uint64_t number, connection;

	while (acknowledge_take(&number, &connection)) {
		struct sending *sending;

		if (!self.pipe || connection != self.connection)
			continue;
		sending = malloc(sizeof(*sending));
		if (sending)
			send_frame(sending, FSMVP_FRAME_ACK, number, 0);
		else
			hang_up(); /* control asks again over the next link */
	}
}

static void on_wake(uv_async_t *handle)
{
	(void)handle;
	flush_acknowledged();
	flush_log();
	if (link_take_distrust())
		hang_up();
}

/* Descriptors still in use by a read are asked for again soon. */
static void on_revoke(uv_timer_t *handle)
{
	if (!orders_revoke_again(self.shim))
		uv_timer_stop(handle);
}

static void room_for_bytes(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void)handle;
	(void)suggested;
	*buffer = uv_buf_init((char *)self.bytes + self.used, (unsigned)(sizeof(self.bytes) - self.used));
}

static void on_bytes(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	size_t at = 0;
	int length = 0;

	(void)buffer;
	if (stream != (uv_stream_t *)self.pipe)
		return;
	if (count < 0) {
		hang_up();
		return;
	}
	self.used += (size_t)count;
	while (self.pipe) {
		struct fsmvp_frame frame;

		length = frame_parse(self.bytes + at, self.used - at, &frame);
		if (length <= 0)
			break;
		if (orders_obey(self.shim, &frame, self.bytes + at + sizeof(frame), self.connection))
			uv_timer_start(&self.revoke, on_revoke, REVOKE_MS, REVOKE_MS);
		at += (size_t)length;
	}
	if (!self.pipe)
		return;
	if (length < 0) {
		HOSTILE(&self.shim->region, "a frame");
		hang_up();
		return;
	}
	memmove(self.bytes, self.bytes + at, self.used - at);
	self.used -= at;
}

/* Its end may be waiting in the loop behind the newcomer. */
static bool peer_is_gone(void)
{
	struct pollfd poll_fd = {.fd = self.fd, .events = POLLRDHUP};

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static int adopt(int fd)
{
	uv_pipe_t *pipe = malloc(sizeof(*pipe));
	int error;

	if (!pipe)
		return -ENOMEM;
	uv_pipe_init(&self.loop, pipe, 0);
	error = uv_pipe_open(pipe, fd);
	if (error) {
		uv_close((uv_handle_t *)pipe, pipe_closed);
		return error;
	}
	self.pipe = pipe;
	self.fd = fd;
	self.used = 0;
	self.connection++;
	link_take_distrust(); /* of the link before */
	log_link(link_wake);
	link_wake();
	/* The pipe has the descriptor by now, and closes it. */
	if (uv_read_start((uv_stream_t *)pipe, room_for_bytes, on_bytes) != 0)
		hang_up();
	return 0;
}

static void keep_spare(void)
{
	if (self.spare < 0)
		self.spare = fcntl(self.shim->options.listen_fd, F_DUPFD_CLOEXEC, 3);
}

/* Out of descriptors, the spare one makes room. If there is none at all, a connection waits for the next beat: the loop
 * would find it again and again. */
static int accept_connection(void)
{
	int fd = accept4(self.shim->options.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 && errno == EMFILE && self.spare >= 0) {
		close(self.spare);
		self.spare = -1;
		fd = accept4(self.shim->options.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	}
	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		uv_poll_stop(&self.listening);
		self.is_deaf = true;
	}
	return fd;
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
	struct fsmvp_header *header = self.shim->region.header;
	char message[SHIM_MESSAGE_MAX];
	int fd, problem;

	(void)handle;
	(void)events;
	if (status < 0)
		return;
	standby_end_if_deposed(self.shim);
	fd = accept_connection();
	if (fd < 0)
		return;
	if (!hello_receive(fd, &problem, message))
		goto out_close;
	if (self.pipe && peer_is_gone())
		hang_up();
	if (self.pipe && problem == 0) {
		problem = EBUSY;
		snprintf(message, sizeof(message),
			 "another control plane is connected (pid %u): stop it, or kill it if it hangs",
			 fsmvp_low(fsmvp_load_relaxed(&header->control)));
	}
	if (problem != 0) {
		hello_refuse(fd, problem, message);
		goto out_close;
	}
	/* Before the welcome: what comes from now on waits for it. */
	orphan_adopted(self.shim);
	KILL_POINT("link.accepted");
	if (hello_welcome(self.shim, fd) == 0 && adopt(fd) == 0) {
		KILL_POINT("link.welcomed");
		return;
	}
out_close:
	close(fd);
}

/* Buffers of threads that rest, and listing rows that are free, go back to the system. */
static void trim(uint64_t now)
{
	struct shim *shim = self.shim;
	bool some = false;

	for (uint32_t i = 0; i <= FSMVP_WORKERS_MAX; i++)
		some |= shim->buffers[i].bytes && buffer_trim(&shim->buffers[i], now);
	for (uint32_t i = 0; i < SHIM_DISK_THREADS; i++)
		some |= buffer_trim(&shim->disk.buffers[i], now);
	if (some)
		malloc_trim(0);
	ring_trim(&shim->ring, now);
}

static void on_heartbeat(uv_timer_t *handle)
{
	uint64_t now = fsmvp_now();

	(void)handle;
	standby_end_if_deposed(self.shim);
	if (progress_is_made(self.shim->progress, self.shim->options.workers,
			     &self.shim->progress[FSMVP_WORKERS_MAX], &self.seen))
		fsmvp_store_release(&self.shim->region.header->heartbeat, now);
	keep_spare();
	if (self.is_deaf && uv_poll_start(&self.listening, UV_READABLE, on_connection) == 0)
		self.is_deaf = false;
	orphan_tick(self.shim, self.pipe != NULL, HEARTBEAT_MS);
	trim(now);
	flush_log();
}

int link_prepare(struct shim *shim)
{
	int error;

	self.shim = shim;
	self.spare = -1;
	error = uv_loop_init(&self.loop);
	if (!error)
		error = uv_async_init(&self.loop, &self.wake, on_wake);
	if (!error)
		error = uv_timer_init(&self.loop, &self.heartbeat);
	if (!error)
		error = uv_timer_init(&self.loop, &self.revoke);
	if (!error)
		error = uv_poll_init(&self.loop, &self.listening, shim->options.listen_fd);
	keep_spare();
	return error; /* libuv's are negative errnos */
}

void link_run(void)
{
	uv_timer_start(&self.heartbeat, on_heartbeat, 0, HEARTBEAT_MS);
	uv_poll_start(&self.listening, UV_READABLE, on_connection);
	link_wakes_by(send_wake);
	uv_run(&self.loop, UV_RUN_DEFAULT);
}
