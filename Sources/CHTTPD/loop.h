#pragma once
#include <microhttpd.h>

/*
 * A daemon without threads of its own, for a host that has an event loop: the host watches chttpd_loop_epoll() and the time of
 * MHD_get_timeout(), and calls MHD_run() when either is due. Requests are suspended while their answer is made elsewhere.
 */
struct chttpd_loop_options {
	int listen_fd;		       /* bound and listening, non-blocking; closed by MHD_stop_daemon() unless quiesced before */
	unsigned int connection_limit; /* further ones wait in the backlog */
	unsigned int idle_seconds;     /* a connection that sends nothing for so long is closed; suspended ones are not */
	/* Called as a connection comes and goes; NULL: not. */
	MHD_NotifyConnectionCallback connected;
	/* Called with the raw request target before anything else of a request; what it returns is the request's con_cls. */
	void *(*begun)(void *context, const char *target, struct MHD_Connection *connection);
	/* Called once for every `begun`, however the request ended. */
	MHD_RequestCompletedCallback completed;
	void *context; /* of every callback, the handler's too */
};

static inline struct MHD_Daemon *chttpd_loop_start(MHD_AccessHandlerCallback handler, const struct chttpd_loop_options *options)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, options->context,
				MHD_OPTION_LISTEN_SOCKET, options->listen_fd,
				MHD_OPTION_CONNECTION_LIMIT, options->connection_limit,
				MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds,
				MHD_OPTION_URI_LOG_CALLBACK, options->begun, options->context,
				MHD_OPTION_NOTIFY_COMPLETED, options->completed, options->context,
				MHD_OPTION_NOTIFY_CONNECTION, options->connected, options->context,
				MHD_OPTION_END);
}

/* The descriptor to watch for readability; -1 where the daemon has none. */
static inline int chttpd_loop_epoll(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);

	return info ? info->epoll_fd : -1;
}
