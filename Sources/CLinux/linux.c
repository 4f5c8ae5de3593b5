#include "CLinux.h"

#include <errno.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

int clinux_get_seals(int fd)
{
	return fcntl(fd, F_GET_SEALS);
}

int clinux_add_seals(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals);
}

static int fail(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

int clinux_memfd(const char *name, int64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	return ftruncate(fd, size) == 0 ? fd : fail(fd);
}

int clinux_signalfd(const sigset_t *signals)
{
	return signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

int clinux_next_signal(int fd)
{
	struct signalfd_siginfo signal;

	return read(fd, &signal, sizeof(signal)) == sizeof(signal) ? (int)signal.ssi_signo : 0;
}

void clinux_name_thread(const char *name)
{
	pthread_setname_np(pthread_self(), name);
}

int clinux_peer(int socket, uid_t *uid, pid_t *pid)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return -1;
	*uid = peer.uid;
	*pid = peer.pid;
	return 0;
}

int clinux_dup_above(int fd, int lowest)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, lowest);
}

int clinux_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int clinux_pidfd_signal(int pidfd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int clinux_pidfd_reap(int pidfd, int *code, int *signal)
{
	siginfo_t about;

	memset(&about, 0, sizeof(about));
	if (waitid(P_PIDFD, (id_t)pidfd, &about, WEXITED | WNOHANG) != 0)
		return -1;
	*code = about.si_code == CLD_EXITED ? about.si_status : 0;
	*signal = about.si_code == CLD_EXITED ? 0 : about.si_status;
	return about.si_pid != 0 ? 0 : -1;
}

static int address(const char *path, struct sockaddr_un *to)
{
	memset(to, 0, sizeof(*to));
	to->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(to->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(to->sun_path, path);
	return 0;
}

int clinux_listen(const char *path)
{
	struct sockaddr_un at;
	int fd;

	if (address(path, &at) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	/* unix(7): the name gets the socket's mode. A umask is the whole process's: what other threads make meanwhile would get it, too. */
	if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 64) != 0)
		return fail(fd);
	return fd;
}

int clinux_connect(const char *path)
{
	struct sockaddr_un to;
	int fd;

	if (address(path, &to) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		return fail(fd);
	return fd;
}

int clinux_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}

char **clinux_environment(void)
{
	return environ;
}

int clinux_close_on_exec_from(unsigned int lowest)
{
	return close_range(lowest, ~0u, CLOSE_RANGE_CLOEXEC);
}

int clinux_set_close_on_exec(int fd, int is_closed)
{
	return fcntl(fd, F_SETFD, is_closed ? FD_CLOEXEC : 0);
}

void clinux_few_arenas(void)
{
	mallopt(M_ARENA_MAX, 2);
}
