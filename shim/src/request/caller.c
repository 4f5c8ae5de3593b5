/* SPDX-License-Identifier: MIT
 *
 * Is the caller of a request dying? Only then may a blocked read of a regular file be answered EINTR. Runs on
 * the canceller, but for caller_known, which every thread that fills a row calls; reads /proc, waits for nothing else.
 * Its state is two atomic words about /proc.
 */
#include "request/request.h"

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

static bool begins(const char *line, const char *name, const char **value)
{
	size_t length = strlen(name);

	if (strncmp(line, name, length) != 0 || line[length] != ':')
		return false;
	*value = line + length + 1;
	return true;
}

/* One line of the text, without its end. */
static void take_line(struct caller_scan *scan, const char *line)
{
	const char *value;

	if (begins(line, "State", &value)) {
		while (*value == '\t' || *value == ' ')
			value++;
		scan->is_dead = *value != '\0' && strchr("ZXx", *value);
	} else if (begins(line, "SigPnd", &value) || begins(line, "ShdPnd", &value)) {
		scan->pending |= strtoull(value, NULL, 16);
	} else if (begins(line, "SigBlk", &value) || begins(line, "SigIgn", &value) ||
		   begins(line, "SigCgt", &value)) {
		scan->held |= strtoull(value, NULL, 16);
	}
}

void caller_scan(struct caller_scan *scan, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n') {
			scan->line[scan->used] = '\0';
			take_line(scan, scan->line);
			scan->used = 0;
		} else if (scan->used < sizeof(scan->line) - 1) {
			/* The rest of a longer line, a list of groups, says nothing here. */
			scan->line[scan->used++] = text[i];
		}
	}
}

bool caller_scan_says_dying(const struct caller_scan *scan)
{
	if (scan->is_dead || (scan->pending & BIT(SIGKILL)))
		return true;
	return (scan->pending & ~scan->held & ~harmless) != 0;
}

enum caller_state caller_look(uint32_t tid)
{
	struct caller_scan scan = {0};
	char path[32], text[4096];
	ssize_t got;
	int fd, error;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) /* hidepid hides the living too, so ask in another way */
		return kill((pid_t)tid, 0) != 0 && errno == ESRCH ? CALLER_DYING : CALLER_LIVES;
	if (fd < 0)
		return CALLER_UNSEEN;
	while ((got = read(fd, text, sizeof(text))) > 0)
		caller_scan(&scan, text, (size_t)got);
	error = got < 0 ? errno : 0;
	close(fd);
	if (error == ESRCH)
		return CALLER_DYING;
	return error ? CALLER_UNSEEN : caller_scan_says_dying(&scan) ? CALLER_DYING : CALLER_LIVES;
}

static uint64_t proc_is_ours; /* 0 not looked yet, 1 yes, 2 no */
static uint64_t some_unknown;

/* /proc may be another pid namespace's: its numbers would be other processes'. */
static bool look_at_proc(void)
{
	char text[16];
	ssize_t length = readlink("/proc/self", text, sizeof(text) - 1);

	if (length <= 0)
		return false;
	text[length] = '\0';
	return strtol(text, NULL, 10) == getpid();
}

uint32_t caller_known(uint32_t pid)
{
	uint64_t ours = fsmvp_load_relaxed(&proc_is_ours);

	if (ours == 0) {
		ours = look_at_proc() ? 1 : 2;
		fsmvp_store_relaxed(&proc_is_ours, ours);
	}
	if (ours == 1 && pid != 0)
		return pid;
	fsmvp_store_relaxed(&some_unknown, 1);
	return 0;
}

bool caller_some_unknown(void)
{
	return fsmvp_load_relaxed(&some_unknown) != 0;
}
