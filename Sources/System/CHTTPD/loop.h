#pragma once
#include <microhttpd.h>

/*
 * It accepts nothing by itself: without descriptors libmicrohttpd either asks for connections without pause or stops
 * doing so until one of its own ends. The host accepts, and hands connections over by MHD_add_connection().
 *
 * A daemon without threads of its own, for a host that has an event loop: the host watches chttpd_loop_epoll() and the
 * time of MHD_get_timeout(), and calls MHD_run() when either is due. Requests are suspended while their answer is made
 * elsewhere.
 */
struct chttpd_loop_options {
	unsigned int connection_limit; /* further ones are refused: the host accepts no more than that */
	unsigned int
	    idle_seconds; /* a connection that sends nothing for so long is closed; suspended ones are not */
	/* Called as a connection comes and goes; NULL: not. */
	MHD_NotifyConnectionCallback connected;
	/* Called with the raw request target before anything else of a request; what it returns is the request's
	 * con_cls. */
	void *(*begun)(void *context, const char *target, struct MHD_Connection *connection);
	/* Called once for every `begun`, however the request ended. */
	MHD_RequestCompletedCallback completed;
	void *context; /* of every callback, the handler's too */
};

static inline struct MHD_Daemon *chttpd_loop_start(MHD_AccessHandlerCallback handler,
						   const struct chttpd_loop_options *options)
{
	return MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handler,
	    options->context, MHD_OPTION_CONNECTION_LIMIT, options->connection_limit,
	    MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds, MHD_OPTION_URI_LOG_CALLBACK, options->begun,
	    options->context, MHD_OPTION_NOTIFY_COMPLETED, options->completed, options->context,
	    MHD_OPTION_NOTIFY_CONNECTION, options->connected, options->context, MHD_OPTION_END);
}

/* How many connections it has. */
static inline unsigned int chttpd_loop_connections(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

/* The descriptor to watch for readability; -1 where the daemon has none. */
static inline int chttpd_loop_epoll(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);

	return info ? info->epoll_fd : -1;
}
