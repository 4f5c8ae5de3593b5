/* SPDX-License-Identifier: MIT
 *
 * The first message each way on a fresh connection. Link thread (main thread at a failed start); waits for
 * the peer's hello, at most half a second. Nothing is kept here.
 */
#include "link/link.h"
#include "life/base.h"
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS    500
#define FIRST_WAIT_MS 30000

/* One sentence about the features that a side needs and the other lacks. True: there are none. */
bool hello_agrees(uint64_t features, uint64_t needs, const struct fsmvp_hello *theirs,
		  char message[SHIM_MESSAGE_MAX])
{
	uint32_t lacked = fsmvp_feature_missing(theirs->needs, features),
		 missed = fsmvp_feature_missing(needs, theirs->features);

	if (lacked != 0)
		snprintf(message, SHIM_MESSAGE_MAX,
			 "the control plane needs feature %u of the protocol, which this shim lacks: stop "
			 "this mount with "
			 "the program that started it, then start again",
			 lacked);
	else if (missed != 0)
		snprintf(message, SHIM_MESSAGE_MAX,
			 "this shim needs feature %u of the protocol, which the control plane lacks: start "
			 "the newer "
			 "fsmvp instead",
			 missed);
	return lacked == 0 && missed == 0;
}

bool hello_receive(int fd, int *problem, char message[SHIM_MESSAGE_MAX])
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct fsmvp_hello hello;

	*problem = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
		log_write(LOG_WARNING, "whose connection it is cannot be told (%s): it is refused",
			  strerror(errno));
		return false;
	}
	if (peer.uid != geteuid() && peer.uid != 0) {
		log_write(LOG_WARNING, "a connection of another user was refused");
		return false;
	}
	if (fsmvp_receive(fd, &hello, sizeof(hello), NULL, NULL, TIMEOUT_MS) != 0)
		return false;
	if (hello.magic != FSMVP_MAGIC)
		return false;
	if (hello.abi != FSMVP_ABI) {
		*problem = EPROTONOSUPPORT;
		snprintf(
		    message, SHIM_MESSAGE_MAX,
		    "the control plane speaks ABI %u and this shim %u: stop the older one, then start again",
		    hello.abi, FSMVP_ABI);
	} else if (!hello_agrees(FSMVP_FEATURES, FSMVP_NEEDS, &hello, message)) {
		*problem = EOPNOTSUPP;
	}
	return true;
}

int hello_refuse(int fd, int problem, const char *message)
{
	struct fsmvp_hello hello = {
	    .magic = FSMVP_MAGIC,
	    .abi = FSMVP_ABI,
	    .status = problem,
	    .features = FSMVP_FEATURES,
	    .needs = FSMVP_NEEDS,
	    .identity = fsmvp_process_id(getpid()),
	};

	snprintf(hello.message, sizeof(hello.message), "%s", message);
	return fsmvp_send(fd, &hello, sizeof(hello), NULL, 0, TIMEOUT_MS);
}

int hello_welcome(struct shim *shim, int fd)
{
	int fds[FSMVP_FDS_MAX] = {
	    [FSMVP_FD_FUSE] = shim->fuse_fd,
	    [FSMVP_FD_REGION] = shim->region_fd,
	    [FSMVP_FD_SHIM_BELL] = shim->shim_bell,
	    [FSMVP_FD_CONTROL_BELL] = shim->control_bell,
	    [FSMVP_FD_LISTEN] = shim->options.listen_fd,
	};
	struct fsmvp_hello hello = {
	    .magic = FSMVP_MAGIC,
	    .abi = FSMVP_ABI,
	    .features = FSMVP_FEATURES,
	    .needs = FSMVP_NEEDS,
	    .identity = fsmvp_load_relaxed(&shim->region.header->active),
	    .region_size = shim->region.size,
	};

	memcpy(&fds[FSMVP_FD_ROOT], shim->options.roots, shim->options.root_count * sizeof(int));
	return fsmvp_send(fd, &hello, sizeof(hello), fds, FSMVP_FD_ROOT + shim->options.root_count,
			  TIMEOUT_MS);
}

void hello_wait_and_refuse(int listen_fd, int problem, const char *message)
{
	uint64_t deadline = fsmvp_now() + (uint64_t)FIRST_WAIT_MS * 1000000;

	while (fsmvp_now() < deadline) {
		struct pollfd poll_fd = {.fd = listen_fd, .events = POLLIN};
		char unused[SHIM_MESSAGE_MAX];
		int ignored, fd;
		bool told;

		int ready = poll(&poll_fd, 1, 1000);

		if (ready == 0)
			continue;
		fd = ready < 0 ? -1 : accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			usleep(20000); /* short of descriptors or memory: it may pass */
			continue;
		}
		told = hello_receive(fd, &ignored, unused) && hello_refuse(fd, problem, message) == 0;
		close(fd);
		if (told)
			return;
	}
}
