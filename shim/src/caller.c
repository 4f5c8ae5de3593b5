/* SPDX-License-Identifier: MIT
 *
 * Is the caller of a request dying? Only then may a blocked read of a regular file be answered EINTR. Runs on
 * the canceller; reads /proc, waits for nothing else.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIT(signal) (UINT64_C(1) << ((signal)-1))

/* Their default is to stop, to go on or to do nothing. SIGKILL has no default to change: it is never masked,
 * so it always counts. */
static const uint64_t harmless = BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) |
				 BIT(SIGTTOU) | BIT(SIGURG) | BIT(SIGWINCH);

/* The hexadecimal word after "\n<name>:\t"; 0 where there is none. */
static uint64_t field(const char *status, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = strstr(status, name); at; at = strstr(at + 1, name)) {
		if ((at == status || at[-1] == '\n') && at[length] == ':')
			return strtoull(at + length + 1, NULL, 16);
	}
	return 0;
}

static bool is_dead(const char *status)
{
	const char *state = strstr(status, "\nState:\t");

	return state && strchr("ZXx", state[8]) && state[8] != '\0';
}

/* `status` is the text of /proc/TID/status. */
bool caller_dying(const char *status)
{
	uint64_t pending = field(status, "SigPnd") | field(status, "ShdPnd");
	uint64_t held = field(status, "SigBlk") | field(status, "SigIgn") | field(status, "SigCgt");

	if (is_dead(status) || (pending & BIT(SIGKILL)))
		return true;
	return (pending & ~held & ~harmless) != 0;
}

bool caller_gone_or_dying(uint32_t tid)
{
	char path[32], text[4096];
	size_t used = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* hidepid hides the living too, so ask in another way */
		return errno == ENOENT && kill((pid_t)tid, 0) != 0 && errno == ESRCH;
	while (used < sizeof(text) - 1 && (got = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	got = used == 0 ? -errno : 0;
	close(fd);
	text[used] = '\0';
	return got == -ESRCH || caller_dying(text);
}
