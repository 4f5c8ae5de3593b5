/* SPDX-License-Identifier: MIT
 *
 * Requests: read from the kernel, answered here or handed to control in a row of the ring, answered when control is
 * done, cancelled if their callers die. struct ring, struct handles and struct waiting are members of struct shim;
 * the files say which threads may call. */
#ifndef FSMVP_REQUEST_H
#define FSMVP_REQUEST_H

#include "life/base.h"

#include <pthread.h>
#include <sys/types.h>

struct buffer;
struct fuse_entry_param;
struct fuse_lowlevel_ops;
struct fuse_req;
struct stat;

#define SHIM_NONE    UINT32_MAX /* no row */
#define SHIM_FOREVER 1e9	/* seconds: without end */

/* bell.c: doorbells. */
int bell_create(void);
void bell_ring(int bell);
/* Waits for a ring (timeout_ms -1: for ever) and resets the bell, so look for work after it. False: nothing
 * came. */
bool bell_wait(int bell, int timeout_ms);

/* A question, as libfuse has decoded it. */
struct ask {
	uint32_t op;
	uint64_t node, handle, arg0, arg1, arg2;
	const char *name;
	size_t name_length;
};
/* A request as it lies in a receive buffer or a waiting row. */
struct source {
	const uint8_t *raw;
	uint32_t length;
	uint32_t replays;
	uint32_t flags;
	uint64_t taken_at;
	uint32_t *in_hand; /* the receive buffer's len */
};

/* ring.c */
struct ring_entry {
	uint64_t request; /* fuse_req_t, answered by the thread that ring_take gives it to; 0: taken */
	/* fuse_req_t in the hands of the disk threads, or 0: under their lock, as all of the job. */
	uint64_t job;
	uint64_t job_lease;
	uint64_t job_at; /* not to be tried before; CLOCK_MONOTONIC ns */
	uint32_t job_root;
	uint32_t job_size;
	uint32_t job_generation;
	uint32_t job_next;
	uint32_t job_tries;
	/* The question, written by the submitter before LOCAL: a copy that control cannot change. */
	uint32_t op;
	uint32_t size;
	uint64_t node;
	uint64_t handle;
	uint64_t offset;
	uint64_t unique;
	uint64_t interrupted;	 /* the unique that an INTERRUPT came for, and when it came */
	uint64_t interrupted_at; /* CLOCK_MONOTONIC ns */
	uint32_t pid;		 /* caller_known() of the caller */
	uint32_t bad;		 /* the bytes vouched for could not be read once already */
	uint32_t returns;	 /* how often the lease of an answer had ended */
	uint64_t listed_at;	 /* its listing row has memory since then; CLOCK_MONOTONIC ns, 0: none */
	bool plus;		 /* READDIR with attributes */
};
/* Which rows a request may take, and which queue it waits in if there is none. */
enum slot_kind {
	SLOT_NAME,  /* all but READ */
	SLOT_READ,  /* READ, for control */
	SLOT_LOCAL, /* READ, for a disk thread */
};
#define SLOT_KINDS 3
static inline enum slot_kind slot_kind(uint32_t op, uint64_t lease)
{
	return op != FSMVP_OP_READ ? SLOT_NAME : lease == 0 ? SLOT_READ : SLOT_LOCAL;
}
struct waiting;
struct ring {
	struct region *region;
	struct ring_entry *entries;
	const struct waiting *waiting; /* rung for when a row becomes free; NULL in tests */
	int shim_bell;
	int control_bell;
	uint32_t rows;		/* FSMVP_SLOTS, but in tests */
	uint64_t high;		/* private twin of header.slots_high */
	uint32_t first_free[2]; /* hints: rows below are likely in use; [0] reserved rows, [1] READ rows */
	uint32_t first_local;	/* the same of the reserved rows that reads may take */
	uint64_t in_use;
};
struct row {
	uint32_t index;
	uint32_t generation;
};
int ring_open(struct ring *ring, struct region *region, int shim_bell, int control_bell);
/* The high-water row, as the header has it now. */
void ring_refresh(struct ring *ring);
/* FREE -> FILLING of a free row. False: the table is full. */
bool ring_claim(struct ring *ring, enum slot_kind kind, struct row *row);
bool ring_step(struct ring *ring, struct row row, uint32_t from, uint32_t to);
bool ring_free(struct ring *ring, struct row row, uint32_t from);
/* Lets an answered row go, whatever control does with it meanwhile. In CANCELLED it stays: control lets go, the
 * canceller frees. A row that is another request's by now is left alone. */
void ring_give_up(struct ring *ring, struct row row);
/* Copies the question into the shim's own entry. */
void ring_note(struct ring_entry *entry, const struct ask *ask, uint64_t unique, uint32_t pid);
/* The kernel has sent an INTERRUPT for `unique`. False: it is not in this row. */
bool ring_interrupt(struct ring *ring, uint32_t index, uint64_t unique, uint64_t now);
/* When the INTERRUPT came for the request that is in the row now; 0: none has. */
static inline uint64_t ring_interrupted_at(const struct ring_entry *entry)
{
	return fsmvp_load_acquire(&entry->interrupted) == fsmvp_load_relaxed(&entry->unique)
		   ? fsmvp_load_relaxed(&entry->interrupted_at)
		   : 0;
}
/* Deaths count against a row: fsmvp_wire.h, TAKEOVER. The thread that has its request counts the one that may come
 * before it begins to work on it, and takes that one back before it hands the row on to control or to another
 * thread. */
void ring_begin(struct ring *ring, uint32_t index);
void ring_hand_on(struct ring *ring, uint32_t index);
void *ring_take(struct ring *ring, uint32_t index);
void ring_put(struct ring *ring, uint32_t index, void *request);
/* LOCAL -> SUBMITTED, and rings. The row must be complete, its request put and len zeroed. False: the word
 * was not the shim's any more. */
bool ring_submit(struct ring *ring, struct row row);
/* Link thread: gives the memory of listing rows back that had no answer in them for two seconds. */
void ring_trim(struct ring *ring, uint64_t now);
/* The row after `index` that a walk looks at; SHIM_NONE at the end. Begin with SHIM_NONE. */
uint32_t ring_next(const struct ring *ring, uint32_t index);

/* handle.c */
struct handles {
	struct region *region;
	uint64_t high;
	uint32_t next;
	int control_bell;
};
void handles_open(struct handles *handles, struct region *region, int control_bell);
/* FREE -> FILLING. False: the table is full. */
bool handle_claim(struct handles *handles, uint64_t *id);
bool handle_step(struct handles *handles, uint64_t id, uint32_t from, uint32_t to);
/* To RELEASED from OPENING or OPEN, counted and rung. False: it was so already, or the id is stale. */
bool handle_release(struct handles *handles, uint64_t id);
/* The value of the row's lease until its OPEN is answered. */
static inline uint64_t handle_unanswered(uint64_t id)
{
	return fsmvp_pack(UINT32_MAX, fsmvp_generation(id));
}
/* OPENING -> OPEN with the lease that answers it. True also if a shim before got so far; false, and nothing changed, if
 * the row is released or another file's. */
bool handle_open(struct handles *handles, uint64_t id, uint64_t lease);
/* The row if it is open in this generation, else NULL. */
struct fsmvp_handle *handle_find(struct handles *handles, uint64_t id);
void handle_account(struct fsmvp_handle *row, uint64_t offset, uint64_t bytes);
/* The length of the file, once; 0 says nothing. */
void handle_learn(struct fsmvp_handle *row, uint64_t length);

/* waiting.c: requests without a slot. */
struct waiting_entry {
	struct fuse_req *request; /* NULL while a thread has it */
	struct ask ask;
	uint64_t lease; /* what a disk thread is to read from; 0: control is to be asked */
	uint64_t unique;
	uint64_t interrupted_at; /* CLOCK_MONOTONIC ns; 0: no INTERRUPT came */
	uint32_t pid;		 /* caller_known() of the caller */
	uint32_t next, before;
};
struct waiting_queue {
	uint32_t head, tail;
	uint64_t count; /* written under the lock, read anywhere */
};
struct waiting {
	struct region *region;
	struct waiting_entry *entries;
	pthread_mutex_t lock; /* of all that follows */
	struct waiting_queue queues[SLOT_KINDS];
	uint32_t free; /* rows used before and free now */
	uint32_t high;
	uint32_t rows; /* FSMVP_WAITING, but in tests */
};
int waiting_open(struct waiting *waiting, struct region *region);
/* Whether a request of that kind waits. */
bool waiting_has(const struct waiting *waiting, enum slot_kind kind);
uint64_t waiting_count(const struct waiting *waiting);
/* Takes the request over from the worker's receive buffer. False: there is no room for it, and nothing has changed. */
bool waiting_put(struct shim *shim, struct fuse_req *request, const struct ask *ask, uint64_t lease,
		 const struct source *source);
/* A request that was taken out of its queue, to be moved into a slot. */
struct waiting_taken {
	struct fuse_req *request;
	struct ask ask;
	uint64_t lease;	      /* as in waiting_entry */
	struct source source; /* the raw request, in its row */
	uint32_t index;
};
/* Completion thread: takes the first request of a queue, whose row stays until waiting_moved. False: there is none. */
bool waiting_take(struct waiting *waiting, enum slot_kind kind, struct waiting_taken *taken);
/* The request is in a slot that is LOCAL: its row is free. */
void waiting_moved(struct waiting *waiting, uint32_t index);
/* Answers an error to what waits in that row, if it is still in that generation. */
void waiting_answer(struct shim *shim, uint32_t index, uint32_t generation, int error);
/* The kernel has sent an INTERRUPT for `unique`. False: it does not wait here. */
bool waiting_interrupted(struct shim *shim, uint64_t unique, uint64_t now);
/* Whether a row holds that request. */
bool waiting_holds(const struct waiting *waiting, uint64_t unique);
/* A successor tears down the rows that were half done, then takes each row over, or drops it after it was answered. */
void waiting_clear(struct shim *shim, bool (*is_in_a_slot)(const struct shim *shim, uint64_t unique));
void waiting_adopt(struct shim *shim, uint32_t index, struct fuse_req *request, const struct ask *ask);
void waiting_drop(struct shim *shim, uint32_t index);

/* The result of adopting a request that is in the ring already. */
struct adoption {
	struct fuse_req *request;
	struct ask ask;
	bool is_short; /* of memory: libfuse would have answered so */
};

/* request.c */
/* The request that a thread has in hand while libfuse calls a handler. */
struct request {
	const uint8_t *raw;
	uint32_t number; /* of the worker */
	uint32_t length;
	uint32_t *in_hand; /* the receive buffer's len */
	uint64_t taken_at;
	struct buffer *buffer;
	struct adoption *adopt; /* the handler fills it in and does nothing else; NULL in service */
};
extern _Thread_local struct request current;
/* The reply went out: the request is in hand no more. */
void answered_inline(struct shim *shim, uint32_t op);

/* ops.c */
extern const struct fuse_lowlevel_ops shim_ops;

/* forward.c */
void forward(struct shim *shim, struct fuse_req *request, const struct ask *ask);
/* A read that needs a disk thread. */
void forward_to_disk(struct shim *shim, struct fuse_req *request, const struct ask *ask, uint64_t lease);
/* Completion thread: moves waiting requests into slots, as far as there are free ones. */
void forward_waiting(struct shim *shim);

/* submit.c */
/* Writes a FILLING row. */
void submit_fill(struct shim *shim, struct row row, const struct ask *ask, const struct source *source);
/* A LOCAL row of this thread goes to control. The request is answered EIO if control has changed the row's word. */
void submit_row(struct shim *shim, struct row row, struct fuse_req *request);

/* reply.c */
/* After the reply: counts it and frees the row. `from` is LOCAL or DONE, here and below: the state the row is in. */
void reply_finish(struct shim *shim, struct row row, uint32_t from);
/* Answers an errno; an OPEN gives its handle back. */
void reply_refuse(struct shim *shim, struct row row, uint32_t from, struct fuse_req *request, int error);
void reply_read(struct shim *shim, struct row row, uint32_t from, struct fuse_req *request,
		const uint8_t *bytes, size_t length);
/* The bytes could not be read: `why` is lease_read's error. LOCAL comes only with a shortage. */
void reply_unread(struct shim *shim, struct row row, uint32_t from, struct fuse_req *request, ssize_t why);
/* Whether `got` bytes may be sent for `asked` at `offset`: all, or as far as the file goes. `length` 0: not known. */
bool read_is_whole(uint64_t offset, uint64_t asked, uint64_t got, uint64_t length);
void reply_count_short(const struct region *region, uint64_t node, uint64_t offset, uint64_t asked,
		       uint64_t got);

/* answer.c */
/* Answers a DONE row of which this thread has the request, or hands it to a disk thread. */
void answer_done(struct shim *shim, struct row row, struct fuse_req *request, struct buffer *buffer);

/* listing.c */
bool attr_to_stat(const struct fsmvp_attr *attr, struct stat *out);
/* The same with the times that the kernel keeps name and attributes. */
bool attr_to_entry(const struct fsmvp_attr *attr, struct fuse_entry_param *out);
/* attr.entry_ms or attr.attr_ms, in seconds. */
double attr_timeout(uint32_t milliseconds);
/* Payload records to what the kernel reads. Bytes written, 0 at the end, or -EPROTO, -EINVAL (no room for
 * one). */
ssize_t listing_convert(const uint8_t *payload, size_t length, uint64_t after, bool plus, uint8_t *out,
			size_t room);

/* caller.c */
enum caller_state {
	CALLER_LIVES,
	CALLER_DYING,
	CALLER_UNSEEN, /* the look failed; it may succeed later */
};
/* /proc/TID/status, piece by piece: it may be longer than any buffer. */
struct caller_scan {
	uint64_t pending, held; /* signals */
	size_t used;
	bool is_dead;
	char line[64];
};
void caller_scan(struct caller_scan *scan, const char *text, size_t length);
bool caller_scan_says_dying(const struct caller_scan *scan);
enum caller_state caller_look(uint32_t tid);
/* The pid, or 0 if it says nothing here: the caller is in another pid namespace, or /proc is of another one. */
uint32_t caller_known(uint32_t pid);
/* Whether caller_known has ever answered 0. */
bool caller_some_unknown(void);

/* worker.c */
int worker_start(struct shim *shim, uint32_t number);
/* Makes a worker's read of /dev/fuse return, if one waits there. */
void worker_interrupt(struct shim *shim);

/* completion.c */
int completion_start(struct shim *shim);
void completion_walk(struct shim *shim, struct buffer *buffer);

/* canceller.c */
int canceller_start(struct shim *shim);
void canceller_look(struct shim *shim, bool all, uint64_t now);
/* A FUSE_INTERRUPT, as the kernel sent it. */
void canceller_interrupt(struct shim *shim, const void *request, size_t length);

#endif
