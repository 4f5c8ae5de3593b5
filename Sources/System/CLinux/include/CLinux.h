/* Linux calls that Swift's Glibc module lacks or cannot import (variadics, macros). One line each; errors as the call
 * reports them. */
#ifndef FSMVP_CLINUX_H
#define FSMVP_CLINUX_H

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

/* An eventfd as a doorbell: non-blocking and close-on-exec from birth. */
static inline int clinux_eventfd(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static inline int clinux_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags | O_CLOEXEC, mode);
}

/* Both ends non-blocking and close-on-exec; the one to read from is first. */
int clinux_pipe(int ends[2]);

static inline int clinux_openat(int folder, const char *name, int flags)
{
	return openat(folder, name, flags | O_CLOEXEC);
}

int clinux_pidfd_open(pid_t pid);
/* Never hits a recycled pid; -1 and errno. */
int clinux_pidfd_signal(int pidfd, int signal);
/* The wait status of a child that has ended, taken from the kernel; -1 and errno (ECHILD: it is not our child, EAGAIN:
 * it runs). */
int clinux_reap(pid_t pid, int *code, int *signal);
int clinux_pidfd_reap(int pidfd, int *code, int *signal);
/* Starts a program as the leader of a session of its own, with no signal blocked or ignored. `descriptors` are the
 * child's from 0 on; -1 is /dev/null. Its pid, or a negative errno. Does not copy this process, as fork does; returns
 * once the program has been found, or not. */
pid_t clinux_spawn(const char *path, char *const argv[], char *const environment[], const int *descriptors,
		   int count);

int clinux_get_seals(int fd);
int clinux_add_seals(int fd, int seals);
/* Nothing can change a memory file after that, its size included; 0, or -1 and errno. */
int clinux_seal(int fd);
/* Whether it is a memory file that was sealed so. */
int clinux_is_sealed(int fd);

/* A memory file of that size that can be sealed, close-on-exec; -1 and errno. */
int clinux_memfd(const char *name, int64_t size);

/* A duplicate at or above `lowest`, close-on-exec. */
int clinux_dup_above(int fd, int lowest);

/* Tells when a name goes from a folder, or the folder itself: readable then; non-blocking, close-on-exec. -1 and
 * errno. */
int clinux_watch_removals(const char *folder);
/* Takes what it told, unread. */
void clinux_drain(int fd);

void clinux_name_thread(const char *name);

/* Blocked signals as a descriptor's, non-blocking and close-on-exec; -1 and errno. */
int clinux_signalfd(const sigset_t *signals);
/* The next one; 0 where none is there. */
int clinux_next_signal(int fd);

/* uid and pid of a Unix socket's other end; -1 and errno. */
int clinux_peer(int socket, uid_t *uid, pid_t *pid);

/* A Unix stream socket, bound and listening, mode 0600, close-on-exec; -1 and errno (ENAMETOOLONG: the path does not
 * fit). */
int clinux_listen(const char *path);
/* The next connection of a listening socket, non-blocking and close-on-exec, and where it comes from; -1 and errno. */
int clinux_accept(int listening, struct sockaddr_storage *from, socklen_t *length);
/* A connection to such a socket; -1 and errno. */
int clinux_connect(const char *path);
/* A TCP socket listening on 127.0.0.1, non-blocking and close-on-exec; -1 and errno. `bound`: its port, which for port
 * 0 is any free one. */
int clinux_listen_loopback(uint16_t port, uint16_t *bound);
/* Owner of the other end of such a connection, by the kernel's tables (sock_diag(7), some 10 us); -1 and
 * errno (ENOTCONN: no process has it open). */
int clinux_loopback_owner(int socket, uid_t *uid);
/* Whether this kernel tells that at all, tried with a listening socket. */
int clinux_tells_owners(int listening);
/* A netlink socket that becomes readable when a link, an address or a route of the machine changes; -1 and errno. */
int clinux_watch_network(void);
/* Reads away what is there; how many changes, or -1 and errno if the socket is of no use any more. */
int clinux_drain_network(int fd);
/* The process's environment; for giving it on. */
char **clinux_environment(void);
/* Overwrites the value of each variable of that name at its place, so that /proc/PID/environ shows none, and takes the
 * variable out. Before there are threads. */
void clinux_forget_variable(const char *name);
/* From `lowest` on, everything open is closed by an exec; 0, or -1 and errno. */
int clinux_close_on_exec_from(unsigned int lowest);
int clinux_set_close_on_exec(int fd, int is_closed);

/* Keeps glibc from making an arena for every thread. */
void clinux_few_arenas(void);

/* Raises the limit of open files to the most this process may have, for itself and for its children. Returns the limit
 * that holds now; 0 if it cannot be read. */
uint64_t clinux_raise_descriptor_limit(void);
/* How many descriptors the process may have now. */
uint64_t clinux_descriptor_limit(void);

#endif
