/* SPDX-License-Identifier: MIT
 *
 * The lowest header, for all folders: the region and its figures, lines of the log, the limits of the process, and how
 * threads are started and woken. Includes no other header of the shim. struct region is a member of struct shim; log.c
 * and wake.c keep their own state.
 */
#ifndef FSMVP_BASE_H
#define FSMVP_BASE_H

#include "fsmvp_wire.h"

struct shim;

#define SHIM_ROOTS_MAX	 (FSMVP_FDS_MAX - FSMVP_FD_ROOT) /* a hello has room for so many */
#define SHIM_STACK	 (256u << 10)
#define SHIM_MESSAGE_MAX 464u /* of fsmvp_hello.message */
/* Descriptors that the cache of open leases leaves to all else. */
#define SHIM_FDS_KEPT 128u

/* region.c: the sections, their addresses looked up once. */
struct region {
	uint8_t *base;
	uint64_t size;
	struct fsmvp_header *header;
	uint8_t *receive;
	uint64_t *words;
	struct fsmvp_slot *slots;
	uint8_t *payload;
	struct fsmvp_handle *handles;
	struct fsmvp_lease *leases;
	uint64_t *maps;
	struct fsmvp_histogram *histograms;
	uint64_t *frames;
	struct fsmvp_waiting *waiting;
	uint8_t *listings;
};

int region_create(struct region *region, int *fd);
/* Maps the region that another shim made. */
int region_map(struct region *region, int fd);
int region_bind(struct region *region, void *base, uint64_t size);
/* Resident: with `fresh` zeroed too. */
void region_lock_receive(const struct region *region, uint32_t workers, bool fresh);

/* trace.c: figures in the region. */
void trace_time(const struct region *region, uint32_t op, uint32_t segment, uint64_t from, uint64_t to);
/* The active shim has answered a request: it is worth something. */
static inline void trace_answered(const struct region *region)
{
	if (fsmvp_load_relaxed(&region->header->answered) == 0)
		fsmvp_store_relaxed(&region->header->answered, 1);
}
/* Whether the n-th event of a kind is worth a line of the log: the first, the second, the fourth and so on. */
static inline bool trace_is_due(uint64_t count)
{
	return (count & (count - 1)) == 0;
}
/* Adds one to a counter of the header; true if a line of the log is due. */
static inline bool trace_count(uint64_t *counter)
{
	fsmvp_add_relaxed(counter, 1);
	return trace_is_due(fsmvp_load_relaxed(counter));
}
void trace_hostile(const struct region *region, uint64_t *said, bool ends_link, const char *what);
/* Counts a value of control's that cannot be, logs it once for each place, and ends the link. */
#define HOSTILE(region, what)                                                                                \
	do {                                                                                                 \
		static uint64_t said_;                                                                       \
		trace_hostile(region, &said_, true, what);                                                   \
	} while (0)
/* The same of a value that costs one handle or one read, whichever side wrote it: counted and logged, the link
 * stays. */
#define WRONG(region, what)                                                                                  \
	do {                                                                                                 \
		static uint64_t said_;                                                                       \
		trace_hostile(region, &said_, false, what);                                                  \
	} while (0)

/* log.c */
enum log_level {
	LOG_ERROR = 0,
	LOG_WARNING = 1,
	LOG_NOTICE = 2,
	LOG_DEBUG = 3,
};
struct log_line {
	uint32_t level;
	uint32_t length;
	char text[248];
};
void log_set_level(uint32_t level);
/* There is a link: `wake` is called after each line, and its thread takes them. NULL: there is none, lines go to
 * standard error. */
void log_link(void (*wake)(void));
bool log_take(struct log_line *line);
/* Ends the process with that status, its last lines written if standard error takes them at once. */
_Noreturn void log_end(int status);
void log_write(uint32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* limits.c */
/* Raises this process's limits to their hard values. */
void limits_raise(void);
uint64_t limits_descriptors(void);
/* How many descriptors of leases may be open at once under that limit. */
uint32_t limits_lease_files(uint64_t descriptors);

/* threads.c */
/* A detached thread. 0 or a negative errno, as of all functions that start one. */
int thread_start(const char *name, void *(*body)(void *), void *argument);

/* wake.c: any thread makes another one look for work. */
void canceller_wake(struct shim *shim, bool hurry);
/* There is something for the link thread to send. */
void link_wake(void);
/* Control is not trusted further: its link ends. */
void link_distrust(void);
/* Link thread: from now on link_wake calls `send`, on the thread that wakes. */
void link_wakes_by(void (*send)(void));
/* Link thread: whether link_distrust was called since this was asked last. */
bool link_take_distrust(void);

#endif
