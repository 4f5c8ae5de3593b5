/* TCP on 127.0.0.1: a place to listen at, and whose the other end of a connection is, as the kernel says by netlink. No
 * state: descriptors are the caller's. */
#include "CLinux.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

int clinux_listen_loopback(uint16_t port, uint16_t *bound)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t length = sizeof(address);
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Connections of a process that ended must not keep its successor from its port; one that listens there still
	 * does. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 256) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
		*bound = ntohs(address.sin_port);
		return fd;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 about;
};

union answer {
	struct nlmsghdr header;
	struct {
		struct nlmsghdr header;
		struct inet_diag_msg about;
	} found;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} failed;
	char bytes[1024];
};

/* sock_diag(7): the one socket between these two, from the tables of the network namespace; 0, or the negative
 * errno. */
static int ask(const struct sockaddr_in *near, const struct sockaddr_in *far,
	       struct inet_diag_msg *socket_found)
{
	struct question question = {
	    .header = {.nlmsg_len = sizeof(question),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST},
	    .about =
		{
		    .sdiag_family = AF_INET,
		    .sdiag_protocol = IPPROTO_TCP,
		    .idiag_states = ~0u,
		    .id =
			{
			    .idiag_sport = near->sin_port,
			    .idiag_dport = far->sin_port,
			    .idiag_src = {near->sin_addr.s_addr},
			    .idiag_dst = {far->sin_addr.s_addr},
			    .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
			},
		},
	};
	union answer answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t got = -1;
	int error = 0;

	/* The kernel answers within the send: there is nothing to wait for. */
	if (fd < 0 || send(fd, &question, sizeof(question), 0) < 0 ||
	    (got = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT)) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	if (error)
		return error;
	if (got >= (ssize_t)sizeof(answer.found) && answer.header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
		*socket_found = answer.found.about;
		return 0;
	}
	if (got >= (ssize_t)sizeof(answer.failed) && answer.header.nlmsg_type == NLMSG_ERROR &&
	    answer.failed.error.error < 0)
		return answer.failed.error.error;
	return -EPROTO;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

int clinux_loopback_owner(int socket, uid_t *uid)
{
	struct sockaddr_in near, far;
	socklen_t near_length = sizeof(far), far_length = sizeof(near);
	struct inet_diag_msg found;
	int error;

	/* Seen from the other end, this one is the far one. */
	if (getsockname(socket, (struct sockaddr *)&far, &near_length) != 0 ||
	    getpeername(socket, (struct sockaddr *)&near, &far_length) != 0)
		return -1;
	if (near.sin_family != AF_INET || far.sin_family != AF_INET)
		return fail(EAFNOSUPPORT);
	error = ask(&near, &far, &found);
	if (error)
		return fail(-error);
	/* Before Linux 6.17 a socket that no process has open any more is reported as root's. If the
	 * connection is gone, a socket that listens at its port is found. */
	if (found.idiag_inode == 0 || found.idiag_state == TCP_LISTEN || found.idiag_state == TCP_TIME_WAIT)
		return fail(ENOTCONN);
	*uid = found.idiag_uid;
	return 0;
}

int clinux_tells_owners(int listening)
{
	struct sockaddr_in at, nobody = {.sin_family = AF_INET};
	socklen_t length = sizeof(at);
	struct inet_diag_msg found;

	return getsockname(listening, (struct sockaddr *)&at, &length) == 0 && at.sin_family == AF_INET &&
	       ask(&at, &nobody, &found) == 0;
}
