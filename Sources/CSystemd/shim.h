#pragma once
#include <stdint.h>
#include <systemd/sd-daemon.h>

/* Tells the service manager, where there is one: NOTIFY_SOCKET names its socket, which has room for hundreds of messages. */
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
