/* SPDX-License-Identifier: MIT
 *
 * FUSE_INIT, answered by hand and saved: every shim, the first and each successor, starts its session from
 * the same saved bytes. Main thread, before any other exists; waits for the kernel's first request, at most
 * ten seconds. The bytes are saved in the region's header.
 */
#include "mount/mount.h"
#include "life/base.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

/* FUSE of Linux 5.4. */
#define MINOR_MIN 31u
/* FUSE of Linux 6.16: FUSE_NOTIFY_INC_EPOCH. */
#define EPOCHS_MINOR 44u

/* The features that are taken if the kernel offers them. Not ASYNC_DIO: with it an O_DIRECT reader waits
 * where no signal reaches it. Not passthrough before something here uses it: it forbids mixing kinds of
 * open. */
static const uint64_t wanted = FUSE_ASYNC_READ | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |
			       FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
			       FUSE_NO_OPENDIR_SUPPORT | FUSE_INIT_EXT;

struct answer {
	struct fuse_out_header out;
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t unused[7];
};
_Static_assert(sizeof(struct answer) == 80, "fuse_out_header and fuse_init_out");
_Static_assert(sizeof(struct fuse_init_out) == 64, "fuse_init_out");

uint16_t init_max_pages(uint64_t page_size)
{
	uint64_t pages = page_size == 0 ? 1 : FSMVP_READ_MAX / page_size;

	return pages < 1 ? 1 : pages > 256 ? 256 : (uint16_t)pages;
}

uint32_t init_minor(const void *request, uint32_t length)
{
	struct fuse_in_header in;
	uint32_t version[2];

	if (length < sizeof(in) + sizeof(version))
		return 0;
	memcpy(version, (const uint8_t *)request + sizeof(in), sizeof(version));
	return version[0] == FUSE_KERNEL_VERSION ? version[1] : 0;
}

uint32_t init_answer(const void *request, uint32_t length, uint64_t page_size, uint8_t out[80])
{
	struct fuse_in_header in;
	struct fuse_init_in init = {0};
	struct answer answer;
	uint64_t flags;

	if (length < sizeof(in) + 16)
		return 0;
	memcpy(&in, request, sizeof(in));
	length -= (uint32_t)sizeof(in);
	memcpy(&init, (const uint8_t *)request + sizeof(in), length < sizeof(init) ? length : sizeof(init));
	if (in.opcode != FUSE_INIT || init.major != FUSE_KERNEL_VERSION || init.minor < MINOR_MIN ||
	    !(init.flags & FUSE_NO_OPENDIR_SUPPORT))
		return 0;
	flags = init.flags;
	if (flags & FUSE_INIT_EXT)
		flags |= (uint64_t)init.flags2 << 32;
	flags &= wanted;
	if (!(flags & FUSE_INIT_EXT))
		flags &= UINT32_MAX;
	answer = (struct answer){
	    .out = {.len = sizeof(answer), .unique = in.unique},
	    .major = FUSE_KERNEL_VERSION,
	    .minor = FUSE_KERNEL_MINOR_VERSION,
	    .max_readahead = FSMVP_READ_MAX,
	    .flags = (uint32_t)flags,
	    .max_background = FSMVP_MAX_BACKGROUND,
	    .congestion_threshold = FSMVP_MAX_BACKGROUND,
	    .max_write = 4096,
	    .time_gran = 1,
	    .max_pages = flags & FUSE_MAX_PAGES ? init_max_pages(page_size) : 0,
	    .flags2 = (uint32_t)(flags >> 32),
	};
	memcpy(out, &answer, sizeof(answer));
	return sizeof(answer);
}

/* Reads into the first receive buffer: where any request is until it is answered. */
static ssize_t read_request(int fuse_fd, uint8_t *into, uint64_t deadline)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = fuse_fd, .events = POLLIN};
		uint64_t now = fsmvp_now();
		ssize_t got;
		int ready = poll(&poll_fd, 1, now < deadline ? (int)((deadline - now) / 1000000) + 1 : 0);

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready < 0)
			continue;
		got = read(fuse_fd, into, FSMVP_RECEIVE_SIZE);
		if (got >= 0)
			return got;
		if (errno != EINTR && errno != EAGAIN && errno != ENOENT)
			return -errno;
	}
}

int init_handshake(int fuse_fd, struct fsmvp_header *header, char message[SHIM_MESSAGE_MAX])
{
	uint8_t *row = (uint8_t *)header + header->sections[FSMVP_SECTION_RECEIVE].offset;
	ssize_t got = read_request(fuse_fd, row, fsmvp_now() + (uint64_t)TIMEOUT_MS * 1000000);

	if (got < 0) {
		snprintf(message, SHIM_MESSAGE_MAX,
			 "the kernel did not begin to speak FUSE (%s): unmount and try again",
			 strerror((int)-got));
		return (int)got;
	}
	header->answer_length =
	    init_answer(row, (uint32_t)got, (uint64_t)sysconf(_SC_PAGESIZE), header->answer);
	if (header->answer_length == 0 || (size_t)got > sizeof(header->init)) {
		snprintf(message, SHIM_MESSAGE_MAX,
			 "this kernel speaks FUSE 7.%u, and 7.%u is needed: use Linux 5.4 or later",
			 init_minor(row, (uint32_t)got), MINOR_MIN);
		return -EPROTO;
	}
	memcpy(header->init, row, (size_t)got);
	header->init_length = (uint32_t)got;
	if (init_minor(row, (uint32_t)got) < EPOCHS_MINOR)
		header->epochs = FSMVP_EPOCHS_LACKING;
	if (write(fuse_fd, header->answer, header->answer_length) < 0) {
		int error = errno;

		snprintf(message, SHIM_MESSAGE_MAX,
			 "the kernel refused the answer to FUSE_INIT (%s): please report it",
			 strerror(error));
		return -error;
	}
	memset(row, 0, (size_t)got);
	return 0;
}
