/* SPDX-License-Identifier: MIT
 *
 * Faults of ordinary calls: forced into every file of the shim in the build of `make faults` (cc -include). Each call
 * that is named here can be told to fail by its place, "shim/src/folder/file.c:line call". FSMVP_FAULT_FILE names a
 * file of one struct fsmvp_fault that the test maps too; every shim of an instance shares it, so a call of a successor
 * fails as well. test_shim_faults_in_turn.py finds the calls in the source by these names. */
#ifndef FSMVP_FAULTS_H
#define FSMVP_FAULTS_H

/* All headers that declare these calls come first, since the macros below would spoil their declarations. */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

struct fsmvp_fault {
	char site[112]; /* the armed call; the test writes it while `left` is 0 */
	uint64_t left;	/* how many more times it fails; 0: nothing is armed */
	uint64_t fired; /* how often it failed */
	int64_t error;	/* the errno it fails with */
};

/* Returns the errno with which the call fails, which is also in errno; 0: it is made. */
int fsmvp_fault(const char *site);

#ifndef FSMVP_FAULTS_THEMSELVES
#define FSMVP_TEXT_(x) #x
#define FSMVP_TEXT(x)  FSMVP_TEXT_(x)
#define FSMVP_FAULT(name) fsmvp_fault(__FILE__ ":" FSMVP_TEXT(__LINE__) " " #name)

/* Calls that answer -1, NULL, MAP_FAILED, an errno, or a negative errno. */
#define accept4(...)	    (FSMVP_FAULT(accept4) ? -1 : accept4(__VA_ARGS__))
#define eventfd(...)	    (FSMVP_FAULT(eventfd) ? -1 : eventfd(__VA_ARGS__))
#define fcntl(...)	    (FSMVP_FAULT(fcntl) ? -1 : fcntl(__VA_ARGS__))
#define fork()		    (FSMVP_FAULT(fork) ? -1 : fork())
#define fstat(...)	    (FSMVP_FAULT(fstat) ? -1 : fstat(__VA_ARGS__))
#define ftruncate(...)	    (FSMVP_FAULT(ftruncate) ? -1 : ftruncate(__VA_ARGS__))
#define getrlimit(...)	    (FSMVP_FAULT(getrlimit) ? -1 : getrlimit(__VA_ARGS__))
#define madvise(...)	    (FSMVP_FAULT(madvise) ? -1 : madvise(__VA_ARGS__))
#define memfd_create(...)   (FSMVP_FAULT(memfd_create) ? -1 : memfd_create(__VA_ARGS__))
#define mlock(...)	    (FSMVP_FAULT(mlock) ? -1 : mlock(__VA_ARGS__))
#define mlock2(...)	    (FSMVP_FAULT(mlock2) ? -1 : mlock2(__VA_ARGS__))
#define open(...)	    (FSMVP_FAULT(open) ? -1 : open(__VA_ARGS__))
#define openat(...)	    (FSMVP_FAULT(openat) ? -1 : openat(__VA_ARGS__))
#define pipe2(...)	    (FSMVP_FAULT(pipe2) ? -1 : pipe2(__VA_ARGS__))
#define poll(...)	    (FSMVP_FAULT(poll) ? -1 : poll(__VA_ARGS__))
#define pread(...)	    (FSMVP_FAULT(pread) ? -1 : pread(__VA_ARGS__))
#define preadv2(...)	    (FSMVP_FAULT(preadv2) ? -1 : preadv2(__VA_ARGS__))
#define recvmsg(...)	    (FSMVP_FAULT(recvmsg) ? -1 : recvmsg(__VA_ARGS__))
#define sendmsg(...)	    (FSMVP_FAULT(sendmsg) ? -1 : sendmsg(__VA_ARGS__))
#define setpriority(...)    (FSMVP_FAULT(setpriority) ? -1 : setpriority(__VA_ARGS__))
#define setrlimit(...)	    (FSMVP_FAULT(setrlimit) ? -1 : setrlimit(__VA_ARGS__))
#define syscall(...)	    (FSMVP_FAULT(syscall) ? -1 : syscall(__VA_ARGS__))
#define timerfd_create(...) (FSMVP_FAULT(timerfd_create) ? -1 : timerfd_create(__VA_ARGS__))
#define timerfd_settime(...) (FSMVP_FAULT(timerfd_settime) ? -1 : timerfd_settime(__VA_ARGS__))
#define write(...)	    (FSMVP_FAULT(write) ? -1 : write(__VA_ARGS__))
#define calloc(...)	    (FSMVP_FAULT(calloc) ? NULL : calloc(__VA_ARGS__))
#define fopen(...)	    (FSMVP_FAULT(fopen) ? NULL : fopen(__VA_ARGS__))
#define malloc(...)	    (FSMVP_FAULT(malloc) ? NULL : malloc(__VA_ARGS__))
#define realloc(...)	    (FSMVP_FAULT(realloc) ? NULL : realloc(__VA_ARGS__))
#define fuse_session_new(...) (FSMVP_FAULT(fuse_session_new) ? NULL : fuse_session_new(__VA_ARGS__))
#define mmap(...)	    (FSMVP_FAULT(mmap) ? MAP_FAILED : mmap(__VA_ARGS__))
#define pthread_create(...) (FSMVP_FAULT(pthread_create) ? errno : pthread_create(__VA_ARGS__))
#define uv_async_init(...)  (FSMVP_FAULT(uv_async_init) ? -errno : uv_async_init(__VA_ARGS__))
#define uv_loop_init(...)   (FSMVP_FAULT(uv_loop_init) ? -errno : uv_loop_init(__VA_ARGS__))
#define uv_pipe_open(...)   (FSMVP_FAULT(uv_pipe_open) ? -errno : uv_pipe_open(__VA_ARGS__))
#define uv_poll_init(...)   (FSMVP_FAULT(uv_poll_init) ? -errno : uv_poll_init(__VA_ARGS__))
#define uv_poll_start(...)  (FSMVP_FAULT(uv_poll_start) ? -errno : uv_poll_start(__VA_ARGS__))
#define uv_read_start(...)  (FSMVP_FAULT(uv_read_start) ? -errno : uv_read_start(__VA_ARGS__))
#define uv_write(...)	    (FSMVP_FAULT(uv_write) ? -errno : uv_write(__VA_ARGS__))
#endif

#endif
