#pragma once
#include <fcntl.h>
#include <microhttpd.h>
#include <sys/socket.h>

/* libmicrohttpd takes its options as variadic arguments, which Swift does not import: each call that needs them has a
 * typed inline here. */

/* Zero or NULL leaves libmicrohttpd's default in place. */
struct chttpd_options {
	/* Bound and listening; libmicrohttpd closes it. Negative: connections come by MHD_add_connection(). */
	int listen_fd;
	size_t stack_size;
	size_t connection_memory;
	unsigned int connection_limit;
	unsigned int idle_seconds;
	const char *certificate; /* PEM, with the key's: TLS. Both are read by the start and not kept */
	const char *key;
	/* Called with the raw request target before anything else of a request; what it returns is the request's
	 * con_cls. */
	void *(*begun)(void *context, const char *target, struct MHD_Connection *connection);
	/* Called once for every `begun`, however the request ended. */
	MHD_RequestCompletedCallback completed;
	MHD_NotifyConnectionCallback connected;
	void *context; /* of every callback, the handler's too */
};

/* A thread for every connection: callbacks may block. poll(), since a host with many descriptors is past what select()
 * can watch. */
static const unsigned int CHTTPD_THREAD_PER_CONNECTION =
    MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC;

static inline struct MHD_Daemon *chttpd_start(unsigned int flags, MHD_AccessHandlerCallback handler,
					      const struct chttpd_options *options)
{
	struct MHD_OptionItem items[11];
	unsigned int count = 0;

	if (options->listen_fd >= 0)
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, options->listen_fd, NULL};
	else
		flags |= MHD_USE_NO_LISTEN_SOCKET;
	if (options->certificate) {
		flags |= MHD_USE_TLS;
		items[count++] =
		    (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate};
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key};
	}
	if (options->stack_size)
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_STACK_SIZE,
							 (intptr_t)options->stack_size, NULL};
	if (options->connection_memory)
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT,
							 (intptr_t)options->connection_memory, NULL};
	if (options->connection_limit)
		items[count++] =
		    (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, options->connection_limit, NULL};
	if (options->idle_seconds)
		items[count++] =
		    (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds, NULL};
	if (options->begun)
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_URI_LOG_CALLBACK,
							 (intptr_t)options->begun, options->context};
	if (options->completed)
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_NOTIFY_COMPLETED,
							 (intptr_t)options->completed, options->context};
	if (options->connected)
		items[count++] = (struct MHD_OptionItem){MHD_OPTION_NOTIFY_CONNECTION,
							 (intptr_t)options->connected, options->context};
	items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	return MHD_start_daemon(flags, 0, NULL, NULL, handler, options->context, MHD_OPTION_ARRAY, items,
				MHD_OPTION_END);
}

/* For socket() and socketpair(). Swift sees SOCK_STREAM in some compilations only, when two modules include its
 * header. */
static const int CHTTPD_STREAM = SOCK_STREAM | SOCK_CLOEXEC;

/* The connection's socket; -1 where it has none. */
static inline int chttpd_socket(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	return info ? info->connect_fd : -1;
}

/* A word of the host's about the connection, set by its `connected` callback; 0 without. */
static inline size_t chttpd_connection_word(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info ? (size_t)info->socket_context : 0;
}

/* The TLS session (gnutls_session_t) of the connection; NULL where it has none. */
static inline void *chttpd_tls_session(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info ? (void *)info->tls_session : NULL;
}

/* A body of unknown length then ends with its connection and is not chunked. */
static inline void chttpd_end_by_closing(struct MHD_Response *response)
{
	MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}

/* The next connection of a listening socket, close-on-exec; -1 and errno. */
static inline int chttpd_accept(int listening)
{
	int accepted = accept(listening, NULL, NULL);

	if (accepted >= 0)
		fcntl(accepted, F_SETFD, FD_CLOEXEC);
	return accepted;
}

/* A copy of a descriptor, close-on-exec; -1 and errno. */
static inline int chttpd_duplicate(int descriptor)
{
	return fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
}

/* Starts the connection's idle time anew: libmicrohttpd counts the time that its handler waited, and would close the
 * connection before the answer goes out. */
static inline void chttpd_restart_idle_time(struct MHD_Connection *connection, unsigned int seconds)
{
	MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static inline void chttpd_set_nonblocking(int descriptor)
{
	fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}
