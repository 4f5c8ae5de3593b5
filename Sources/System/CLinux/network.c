/* Changes of the machine's network: links, addresses, routes, by a netlink socket that the caller owns. No state. */
#include "CLinux.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

int clinux_watch_network(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK,
				      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
						   RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int error;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int clinux_drain_network(int fd)
{
	char message[8192];
	int count = 0;

	/* Bounded, for a machine whose routes change without end; what is left makes the descriptor readable again. */
	while (count < 256) {
		ssize_t length = recv(fd, message, sizeof(message), MSG_DONTWAIT);

		/* ENOBUFS: changes were lost, so there were some. */
		if (length > 0 || (length < 0 && errno == ENOBUFS))
			count++;
		else if (length == 0 || errno != EINTR)
			return count > 0 || length == 0 ? count : errno == EAGAIN ? 0 : -1;
	}
	return count;
}
