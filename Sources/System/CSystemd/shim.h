/* systemd's library for HostSystem: notices to the service manager, and a question to logind over the bus. The caller
 * owns what is made; nothing is kept here. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

/* Tells the service manager, where there is one: NOTIFY_SOCKET names its socket, which has room for hundreds of
 * messages. */
static inline void csystemd_notify(const char *state)
{
	sd_notify(0, state);
}

/* After how many microseconds without a sign of life the service manager ends this process; 0: never. */
static inline uint64_t csystemd_watchdog(void)
{
	uint64_t microseconds = 0;

	return sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds : 0;
}

/* Asks logind for an inhibitor; `answered` is called from a later sd_bus_process, at the latest after `timeout`
 * microseconds with an error. 0 or more, or -errno. */
static inline int csystemd_inhibit(sd_bus *bus, const char *what, const char *who, const char *why,
				   const char *mode, uint64_t timeout, sd_bus_message_handler_t answered,
				   void *context)
{
	sd_bus_message *call = NULL;
	int result =
	    sd_bus_message_new_method_call(bus, &call, "org.freedesktop.login1", "/org/freedesktop/login1",
					   "org.freedesktop.login1.Manager", "Inhibit");

	if (result >= 0)
		result = sd_bus_message_append(call, "ssss", what, who, why, mode);
	if (result >= 0)
		result = sd_bus_call_async(bus, NULL, call, answered, context, timeout);
	sd_bus_message_unref(call);
	return result;
}

/* The inhibitor that an answer holds, close-on-exec and the caller's from here on; -errno. */
static inline int csystemd_inhibitor(sd_bus_message *answer)
{
	int descriptor = -1;
	int result = sd_bus_message_read(answer, "h", &descriptor);

	if (result < 0)
		return result;
	result = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
	return result < 0 ? -errno : result;
}

/* Why the answer is a refusal; NULL where it is none. */
static inline const char *csystemd_refusal(sd_bus_message *answer)
{
	const sd_bus_error *error = sd_bus_message_get_error(answer);

	if (!error)
		return NULL;
	return error->message ? error->message : error->name;
}
