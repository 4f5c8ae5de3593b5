/* SPDX-License-Identifier: MIT
 *
 * Kill points: places between two stores of the protocol where a test lets the process die. Compiled in only with
 * FSMVP_KILL_POINTS (the debug build of the Swift package, and `make test-programs` for the shim); in every other build
 * nothing is left of them.
 *
 * FSMVP_KILL_FILE names a file of one struct fsmvp_kill that the test maps too. The process that reaches the point
 * named there for the countdown-th time ends by SIGKILL, or its thread waits there while `holds` is 1, so that a test
 * does something between the two stores. Every process of an instance shares the file, so a point in a successor counts
 * as well. */
#ifndef FSMVP_POINTS_H
#define FSMVP_POINTS_H

#include <stdint.h>

struct fsmvp_kill {
	char name[56];	    /* the armed point; the test writes it while countdown is 0 */
	uint64_t countdown; /* 0: nothing is armed */
	uint64_t fired;	    /* how often one was reached and the process ended, or the thread waited */
	uint64_t pid;	    /* of the last one */
	uint64_t holds; /* 1: the thread that reaches the point waits until this is 0; the process goes on */
	uint64_t again; /* so many more end at the next time that one reaches it */
};

#ifdef FSMVP_KILL_POINTS
#include <signal.h>
#include <string.h>
#include <unistd.h>

void fsmvp_kill_point(const char *name);
#define KILL_POINT(name) fsmvp_kill_point(name)
/* A look-up of this name ends every shim that tries to answer it. */
#define POISON(name)                                                                                         \
	do {                                                                                                 \
		if (strcmp(name, "fsmvp-poison") == 0)                                                       \
			kill(getpid(), SIGKILL);                                                             \
	} while (0)
#else
static inline void fsmvp_kill_point(const char *name)
{
	(void)name;
}
#define KILL_POINT(name) ((void)0)
#define POISON(name)	 ((void)0)
#endif

#endif
