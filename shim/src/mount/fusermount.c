/* SPDX-License-Identifier: MIT
 *
 * Mounting without privilege: fusermount3 mounts and sends the descriptor over a socket. Main thread, before
 * any other exists; waits for that program, at most ten seconds. Nothing is kept here.
 */
#include "mount/mount.h"
#include "life/base.h"
#include "life/life.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM	   "fusermount3"
#define TIMEOUT_MS 10000

/* In the child: only calls that a fork allows. */
static _Noreturn void become(char *const arguments[], int socket, int errors)
{
	char number[16];

	if (socket >= 0) {
		snprintf(number, sizeof(number), "%d", socket);
		setenv("_FUSE_COMMFD", number, 1);
		fcntl(socket, F_SETFD, 0);
	}
	if (errors >= 0)
		dup2(errors, STDERR_FILENO);
	execvp(PROGRAM, arguments);
	_exit(127);
}

static bool format_options(const struct options *options, char *out, size_t room)
{
	char name[512], type[128];
	int length;

	if (!mount_escape(name, sizeof(name), options->fsname) ||
	    !mount_escape(type, sizeof(type), options->subtype))
		return false;
	length = snprintf(out, room,
			  "%s%snosuid,nodev,noexec,default_permissions,max_read=%u,fsname=%s,subtype=%s",
			  options->read_only ? "ro," : "", options->allow_other ? "allow_other," : "",
			  FSMVP_READ_MAX, name, type);
	return length > 0 && (size_t)length < room;
}

/* Reads the program's error output, on one line. */
static void read_errors(int pipe_end, char *text, size_t room)
{
	size_t used = 0;
	ssize_t got;

	while (used < room - 1 && (got = read(pipe_end, text + used, room - 1 - used)) > 0)
		used += (size_t)got;
	while (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	for (size_t i = 0; i < used; i++) {
		if (text[i] == '\n')
			text[i] = ' ';
	}
}

static int explain(int status, int errors, char message[SHIM_MESSAGE_MAX])
{
	char said[300];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		snprintf(message, SHIM_MESSAGE_MAX,
			 "%s is not installed: install the fuse3 package, or run as root", PROGRAM);
		return -ENOENT;
	}
	read_errors(errors, said, sizeof(said));
	snprintf(message, SHIM_MESSAGE_MAX,
		 "%s: see `man fusermount3`, and that /dev/fuse may be opened by you",
		 said[0] != '\0' ? said : "fusermount3 failed without a word");
	return -EPERM;
}

static int reap(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int fusermount_start(const struct options *options, const char *mountpoint, char message[SHIM_MESSAGE_MAX])
{
	int sockets[2] = {-1, -1}, errors[2] = {-1, -1}, fd = -1, error, status;
	char mount_options[1024], byte;
	char *arguments[] = {(char[]){PROGRAM}, (char[]){"-o"}, mount_options, (char[]){"--"}, NULL, NULL};
	uint32_t count = 1;
	pid_t child;

	arguments[4] = (char *)(uintptr_t)mountpoint;
	if (!format_options(options, mount_options, sizeof(mount_options))) {
		snprintf(message, SHIM_MESSAGE_MAX, "--fsname or --subtype is too long");
		return -EINVAL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0 ||
	    pipe2(errors, O_CLOEXEC) != 0 || (child = fork()) < 0) {
		error = -errno;
		snprintf(message, SHIM_MESSAGE_MAX, "cannot start %s (%s)", PROGRAM, strerror(-error));
		goto out_close;
	}
	if (child == 0)
		become(arguments, sockets[1], errors[1]);
	close(sockets[1]);
	close(errors[1]);
	sockets[1] = errors[1] = -1;
	error = fsmvp_receive(sockets[0], &byte, 1, &fd, &count, TIMEOUT_MS);
	if (error == -ETIMEDOUT)
		kill(child, SIGKILL);
	status = reap(child);
	if (error || count != 1) {
		error = explain(status, errors[0], message);
		goto out_close;
	}
	error = fd;
out_close:
	for (int i = 0; i < 2; i++) {
		if (sockets[i] >= 0)
			close(sockets[i]);
		if (errors[i] >= 0)
			close(errors[i]);
	}
	return error;
}

void fusermount_undo(const char *mountpoint)
{
	char *arguments[] = {(char[]){PROGRAM},
			     (char[]){"-u"},
			     (char[]){"-z"},
			     (char[]){"-q"},
			     (char[]){"--"},
			     (char *)(uintptr_t)mountpoint,
			     NULL};
	pid_t child = fork();

	if (child == 0)
		become(arguments, -1, -1);
	if (child > 0)
		reap(child);
}
