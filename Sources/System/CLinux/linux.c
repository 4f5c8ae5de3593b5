/* Descriptors, sockets, limits, signals and the starting of programs, as CLinux.h describes each call. No state: what
 * is opened is the caller's. */
#include "CLinux.h"

#include <errno.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
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

static const int all_seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int clinux_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, all_seals);
}

int clinux_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & all_seals) == all_seals;
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

static int reap(idtype_t type, id_t id, int *code, int *signal)
{
	siginfo_t about;

	memset(&about, 0, sizeof(about));
	if (waitid(type, id, &about, WEXITED | WNOHANG) != 0)
		return -1;
	if (about.si_pid == 0) {
		errno = EAGAIN;
		return -1;
	}
	*code = about.si_code == CLD_EXITED ? about.si_status : 0;
	*signal = about.si_code == CLD_EXITED ? 0 : about.si_status;
	return 0;
}

int clinux_reap(pid_t pid, int *code, int *signal)
{
	return reap(P_PID, (id_t)pid, code, signal);
}

int clinux_pidfd_reap(int pidfd, int *code, int *signal)
{
	return reap(P_PIDFD, (id_t)pidfd, code, signal);
}

/* `copies` has room for `count`; the caller closes the `copied` first of them. 0 or an errno. */
static int give(posix_spawn_file_actions_t *actions, const int *descriptors, int count, int *copies,
		int *copied)
{
	for (int number = 0; number < count; number++) {
		int source = descriptors[number];
		int status;

		if (source < 0) {
			status = posix_spawn_file_actions_addopen(actions, number, "/dev/null", O_RDWR, 0);
		} else {
			/* Copied out of the way first, so that none is overwritten before it is given. */
			if (source < count && source != number) {
				source = fcntl(source, F_DUPFD_CLOEXEC, count);
				if (source < 0)
					return errno;
				copies[(*copied)++] = source;
			}
			status = posix_spawn_file_actions_adddup2(actions, source, number);
		}
		if (status != 0)
			return status;
	}
	return 0;
}

static int begin(posix_spawnattr_t *attributes)
{
	sigset_t signals;
	int status;

	sigemptyset(&signals);
	status = posix_spawnattr_setsigmask(attributes, &signals);
	sigfillset(&signals);
	if (status == 0)
		status = posix_spawnattr_setsigdefault(attributes, &signals);
	if (status == 0)
		status = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
								  POSIX_SPAWN_SETSIGDEF);
	return status;
}

pid_t clinux_spawn(const char *path, char *const argv[], char *const environment[], const int *descriptors,
		   int count)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int copied = 0;
	int *copies = calloc((size_t)count, sizeof(*copies));
	pid_t pid = -ENOMEM;
	int status;

	if (copies == NULL)
		return -ENOMEM;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	status = give(&actions, descriptors, count, copies, &copied);
	if (status == 0)
		status = begin(&attributes);
	if (status == 0)
		status = posix_spawn(&pid, path, &actions, &attributes, argv, environment);
	while (copied > 0)
		close(copies[--copied]);
	free(copies);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return status == 0 ? pid : -status;
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
	/* unix(7): the name gets the socket's mode. A umask is the whole process's: what other threads make meanwhile
	 * would get it, too. */
	if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 64) != 0)
		return fail(fd);
	return fd;
}

int clinux_accept(int listening, struct sockaddr_storage *from, socklen_t *length)
{
	*length = sizeof(*from);
	return accept4(listening, (struct sockaddr *)from, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int clinux_watch_removals(const char *folder)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return -1;
	if (inotify_add_watch(fd, folder,
			      IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB |
				  IN_ONLYDIR) < 0)
		return fail(fd);
	return fd;
}

void clinux_drain(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
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

void clinux_forget_variable(const char *name)
{
	size_t length = strlen(name);

	for (char **variable = environ; variable && *variable; variable++)
		if (strncmp(*variable, name, length) == 0 && (*variable)[length] == '=')
			explicit_bzero(*variable + length + 1, strlen(*variable + length + 1));
	unsetenv(name);
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

uint64_t clinux_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	return limit.rlim_cur;
}

uint64_t clinux_descriptor_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}
