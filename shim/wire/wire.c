/* SPDX-License-Identifier: MIT
 *
 * The few helpers both sides share. No thread, no lock, no state; only fsmvp_send and fsmvp_receive wait, with a
 * deadline. */
#include "fsmvp_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SHIM	FSMVP_SIDE_SHIM
#define CONTROL FSMVP_SIDE_CONTROL

/* [from][to]: the sides that may. The tables of the header, as data. */
static const uint8_t slot_steps[FSMVP_SLOT_STATES][FSMVP_SLOT_STATES] = {
    [FSMVP_FREE] = {[FSMVP_FILLING] = SHIM},
    [FSMVP_FILLING] = {[FSMVP_LOCAL] = SHIM, [FSMVP_FREE] = SHIM},
    [FSMVP_LOCAL] = {[FSMVP_SUBMITTED] = SHIM, [FSMVP_FREE] = SHIM},
    [FSMVP_SUBMITTED] = {[FSMVP_TAKEN] = CONTROL, [FSMVP_CANCEL_DONE] = SHIM},
    [FSMVP_TAKEN] = {[FSMVP_DONE] = CONTROL, [FSMVP_CANCELLED] = SHIM, [FSMVP_SUBMITTED] = CONTROL},
    [FSMVP_DONE] = {[FSMVP_FREE] = SHIM, [FSMVP_SUBMITTED] = SHIM},
    [FSMVP_CANCELLED] = {[FSMVP_CANCEL_DONE] = CONTROL},
    [FSMVP_CANCEL_DONE] = {[FSMVP_FREE] = SHIM},
};

static const uint8_t handle_steps[FSMVP_HANDLE_STATES][FSMVP_HANDLE_STATES] = {
    [FSMVP_HANDLE_FREE] = {[FSMVP_HANDLE_FILLING] = SHIM},
    [FSMVP_HANDLE_FILLING] = {[FSMVP_HANDLE_OPENING] = SHIM, [FSMVP_HANDLE_FREE] = SHIM},
    [FSMVP_HANDLE_OPENING] = {[FSMVP_HANDLE_OPEN] = SHIM, [FSMVP_HANDLE_RELEASED] = SHIM},
    [FSMVP_HANDLE_OPEN] = {[FSMVP_HANDLE_RELEASED] = SHIM},
    [FSMVP_HANDLE_RELEASED] = {[FSMVP_HANDLE_FREE] = CONTROL},
};

bool fsmvp_slot_may(enum fsmvp_side side, uint32_t from, uint32_t to)
{
	return from < FSMVP_SLOT_STATES && to < FSMVP_SLOT_STATES && (slot_steps[from][to] & side);
}

bool fsmvp_handle_may(enum fsmvp_side side, uint32_t from, uint32_t to)
{
	return from < FSMVP_HANDLE_STATES && to < FSMVP_HANDLE_STATES && (handle_steps[from][to] & side);
}

/* FREE is 0 in both tables. */
static bool step(uint64_t *word, uint32_t generation, uint32_t from, uint32_t to)
{
	return fsmvp_cas(word, fsmvp_pack(from, generation),
			 fsmvp_pack(to, to == 0 ? generation + 1 : generation));
}

bool fsmvp_slot_step(uint64_t *word, enum fsmvp_side side, uint32_t generation, uint32_t from, uint32_t to)
{
	return fsmvp_slot_may(side, from, to) && step(word, generation, from, to);
}

bool fsmvp_handle_step(uint64_t *word, enum fsmvp_side side, uint32_t generation, uint32_t from, uint32_t to)
{
	return fsmvp_handle_may(side, from, to) && step(word, generation, from, to);
}

uint32_t fsmvp_bucket(uint64_t nanoseconds)
{
	uint32_t octave;

	if (nanoseconds < 4)
		return (uint32_t)nanoseconds;
	octave = 63u - (uint32_t)__builtin_clzll(nanoseconds);
	return octave * 4 + (uint32_t)(nanoseconds >> (octave - 2) & 3);
}

uint64_t fsmvp_bucket_limit(uint32_t bucket)
{
	uint32_t octave = bucket / 4;

	if (bucket < 8) /* the first two octaves hold single values; 4..7 are never used by fsmvp_bucket */
		return bucket < 4 ? bucket : 3;
	if (bucket >= FSMVP_BUCKETS - 1)
		return UINT64_MAX;
	return ((uint64_t)(4 + bucket % 4 + 1) << (octave - 2)) - 1;
}

void fsmvp_histogram_add(struct fsmvp_histogram *row, uint64_t nanoseconds)
{
	fsmvp_add_relaxed(&row->buckets[fsmvp_bucket(nanoseconds)], 1);
	fsmvp_add_relaxed(&row->sum, nanoseconds);
	fsmvp_max_relaxed(&row->max, nanoseconds);
	fsmvp_add_relaxed(&row->count, 1);
}

struct shape {
	uint32_t count;
	uint32_t stride;
};

static const struct shape shapes[FSMVP_SECTION_COUNT] = {
    [FSMVP_SECTION_RECEIVE] = {FSMVP_WORKERS_MAX, FSMVP_RECEIVE_SIZE},
    [FSMVP_SECTION_WORDS] = {FSMVP_SLOTS, sizeof(uint64_t)},
    [FSMVP_SECTION_SLOTS] = {FSMVP_SLOTS, FSMVP_SLOT_SIZE},
    [FSMVP_SECTION_PAYLOAD] = {FSMVP_SLOTS, FSMVP_PAYLOAD_SIZE},
    [FSMVP_SECTION_HANDLES] = {FSMVP_HANDLES, FSMVP_HANDLE_SIZE},
    [FSMVP_SECTION_LEASES] = {FSMVP_LEASES, FSMVP_LEASE_SIZE},
    [FSMVP_SECTION_MAPS] = {FSMVP_MAP_BYTES / sizeof(uint64_t), sizeof(uint64_t)},
    [FSMVP_SECTION_HISTOGRAMS] = {FSMVP_OP_COUNT * FSMVP_SEGMENT_COUNT, sizeof(struct fsmvp_histogram)},
    [FSMVP_SECTION_FRAMES] = {FSMVP_FRAMES, sizeof(uint64_t)},
    [FSMVP_SECTION_WAITING] = {FSMVP_WAITING, FSMVP_WAITING_SIZE},
    [FSMVP_SECTION_LISTINGS] = {FSMVP_SLOTS_RESERVED, FSMVP_LISTING_SIZE},
};

uint64_t fsmvp_region_format(struct fsmvp_header *header)
{
	uint64_t offset = FSMVP_HEADER_SIZE;

	for (uint32_t i = 0; i < FSMVP_SECTION_COUNT; i++) {
		if (header)
			header->sections[i] = (struct fsmvp_section){
			    .offset = offset, .count = shapes[i].count, .stride = shapes[i].stride};
		offset += ((uint64_t)shapes[i].count * shapes[i].stride + 4095) & ~UINT64_C(4095);
	}
	if (header) {
		header->magic = FSMVP_MAGIC;
		header->abi = FSMVP_ABI;
		header->header_size = FSMVP_HEADER_SIZE;
		header->features = FSMVP_FEATURES;
		header->needs = FSMVP_NEEDS;
		header->region_size = offset;
		header->slots_high = FSMVP_SLOTS_RESERVED;
		header->statfs_bsize = 4096;
		header->statfs_namemax = FSMVP_NAME_MAX;
	}
	return offset;
}

int fsmvp_region_check(const struct fsmvp_header *header, uint64_t size)
{
	if (size < FSMVP_HEADER_SIZE || header->magic != FSMVP_MAGIC)
		return -EPROTO;
	if (header->abi != FSMVP_ABI || header->header_size != FSMVP_HEADER_SIZE)
		return -EPROTONOSUPPORT;
	if (fsmvp_feature_missing(header->needs, FSMVP_FEATURES) != 0 ||
	    fsmvp_feature_missing(FSMVP_NEEDS, header->features) != 0)
		return -EOPNOTSUPP;
	if (header->region_size != size)
		return -EINVAL;
	for (uint32_t i = 0; i < FSMVP_SECTION_COUNT; i++) {
		const struct fsmvp_section *section = &header->sections[i];
		uint64_t bytes = (uint64_t)shapes[i].count * shapes[i].stride;

		if (section->count != shapes[i].count || section->stride != shapes[i].stride ||
		    section->offset < FSMVP_HEADER_SIZE || section->offset % 4096 != 0 ||
		    section->offset > size || bytes > size - section->offset)
			return -EINVAL;
	}
	return 0;
}

uint64_t fsmvp_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

struct process {
	char state;
	long threads;
	uint64_t identity;
};

/* 0, or a negative errno. */
static int read_process(int32_t pid, struct process *process)
{
	char path[64], line[1024], *field;
	unsigned long long start;
	ssize_t got;
	int fd, error;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, line, sizeof(line) - 1);
	error = got < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	line[got] = '\0';
	/* The name, field 2, may hold anything; field 3, the state, comes after the last ')'. Field 20 counts threads,
	 * 22 is the start time. */
	field = strrchr(line, ')');
	if (!field ||
	    sscanf(field + 1,
		   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
		   &process->state, &process->threads, &start) != 3)
		return -EPROTO;
	process->identity = fsmvp_pack((uint32_t)pid, (uint32_t)start);
	return 0;
}

static bool is_zombie(const struct process *process)
{
	return process->state == 'Z' || process->state == 'X';
}

uint64_t fsmvp_process_id(int32_t pid)
{
	struct process process;
	int error = read_process(pid, &process);

	/* A zombie runs no more, however long its parent takes to notice. */
	errno = error ? -error : ESRCH;
	return error || is_zombie(&process) ? 0 : process.identity;
}

uint64_t fsmvp_process_started(int32_t pid)
{
	struct process process;
	int error = read_process(pid, &process);

	errno = -error;
	return error ? 0 : process.identity;
}

enum fsmvp_life fsmvp_process_life(uint64_t identity)
{
	int32_t pid = (int32_t)fsmvp_low(identity);
	struct process process;
	int error;

	/* No process has such a number, and kill() takes it for many. */
	if (pid <= 0)
		return FSMVP_LIFE_ENDED;
	/* Needs no descriptor, no memory and no /proc. */
	if (kill(pid, 0) != 0 && errno == ESRCH)
		return FSMVP_LIFE_ENDED;
	error = read_process(pid, &process);
	if (error)
		return error == -ESRCH ? FSMVP_LIFE_ENDED : FSMVP_LIFE_UNKNOWN;
	if (process.identity != identity || (is_zombie(&process) && process.threads <= 1))
		return FSMVP_LIFE_ENDED;
	return FSMVP_LIFE_RUNS;
}

#define FDS_MAX ((uint32_t)FSMVP_FDS_MAX)

/* Waits until `events` or the deadline (fsmvp_now() ns). */
static int await(int socket, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = socket, .events = events};
		uint64_t now = fsmvp_now();
		int left = now >= deadline ? 0 : (int)((deadline - now + 999999) / 1000000);
		int ready = poll(&poll_fd, 1, left);

		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int fsmvp_send(int socket, const void *data, uint32_t length, const int *fds, uint32_t fd_count,
	       int timeout_ms)
{
	uint64_t deadline = fsmvp_now() + (uint64_t)timeout_ms * 1000000;
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	uint32_t sent = 0;

	if (fd_count > FDS_MAX)
		return -EINVAL;
	while (sent < length) {
		struct iovec part = {.iov_base = (char *)(uintptr_t)data + sent, .iov_len = length - sent};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
		ssize_t got;

		if (sent == 0 && fd_count > 0) {
			struct cmsghdr *head;

			memset(&control, 0, sizeof(control));
			message.msg_control = control.bytes;
			message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
			head = CMSG_FIRSTHDR(&message);
			head->cmsg_level = SOL_SOCKET;
			head->cmsg_type = SCM_RIGHTS;
			head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
			memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
		}
		got = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (got > 0) {
			sent += (uint32_t)got;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			int error = await(socket, POLLOUT, deadline);

			if (error)
				return error;
		} else if (errno != EINTR) {
			return errno == ECONNRESET ? -EPIPE : -errno;
		}
	}
	return 0;
}

/* Keeps what fits into *fd_count, closes the rest: a hostile peer may send more than was agreed. */
static void keep_descriptors(struct msghdr *message, int *fds, uint32_t room, uint32_t *kept)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		size_t count;

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
			if (*kept < room)
				fds[(*kept)++] = fd;
			else
				close(fd);
		}
	}
}

int fsmvp_receive(int socket, void *data, uint32_t length, int *fds, uint32_t *fd_count, int timeout_ms)
{
	uint64_t deadline = fsmvp_now() + (uint64_t)timeout_ms * 1000000;
	uint32_t room = fd_count ? *fd_count : 0, kept = 0, got = 0;
	int error = 0;

	while (got < length) {
		union {
			char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
			struct cmsghdr align;
		} control;
		struct iovec part = {.iov_base = (char *)data + got, .iov_len = length - got};
		struct msghdr message = {.msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control.bytes,
					 .msg_controllen = sizeof(control.bytes)};
		ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

		if (count > 0) {
			got += (uint32_t)count;
			keep_descriptors(&message, fds, room, &kept);
		} else if (count == 0) {
			error = -EPIPE;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			error = await(socket, POLLIN, deadline);
		} else if (errno != EINTR) {
			error = errno == ECONNRESET ? -EPIPE : -errno;
		}
		if (error)
			break;
	}
	if (error) {
		for (uint32_t i = 0; i < kept; i++)
			close(fds[i]);
		kept = 0;
	}
	if (fd_count)
		*fd_count = kept;
	return error;
}
