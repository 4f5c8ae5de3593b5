/* SPDX-License-Identifier: MIT
 *
 * The shim's own structures and what its files offer each other. The contract with the control plane is
 * fsmvp_wire.h; nothing here is shared with another process. No libfuse and no libuv types, so that the tests
 * import it as it is.
 *
 * Threads: workers (read /dev/fuse, answer or forward), completion (answers what control completed), disk
 * (blocking reads), canceller (EINTR for dying callers), invalidator (orders to the kernel's caches), link
 * (main thread, libuv; before that the standby's wait and the takeover). Only disk threads wait for a disk,
 * nobody waits for control.
 */
#ifndef FSMVP_SHIM_H
#define FSMVP_SHIM_H

#include "fsmvp_wire.h"

#include <pthread.h>
#include <sys/types.h>

struct fuse_session;
struct stat;

#define SHIM_ROOTS_MAX	  (FSMVP_FDS_MAX - FSMVP_FD_ROOT) /* a hello has room for so many */
#define SHIM_DISK_THREADS 4u
#define SHIM_STACK	  (256u << 10)
#define SHIM_LEASE_FILES  256u
#define SHIM_NONE	  UINT32_MAX
#define SHIM_MESSAGE_MAX  472u /* of fsmvp_hello.message */

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
	uint64_t *places;
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
void trace_hostile(const struct region *region, uint64_t *said, const char *what);
/* Counts a value of control's that cannot be, logs it once for each place, and ends the link. */
#define HOSTILE(region, what)                                                                                \
	do {                                                                                                 \
		static uint64_t said_;                                                                       \
		trace_hostile(region, &said_, what);                                                         \
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
/* From now on lines are queued and `wake` is called, instead of written to stderr. */
void log_queue(void (*wake)(void));
bool log_take(struct log_line *line);
void log_print(const struct log_line *line);
void log_write(uint32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* bell.c: doorbells. */
int bell_create(void);
void bell_ring(int bell);
/* Waits for a ring (timeout_ms -1: for ever) and resets the bell, so look for work after it. False: nothing
 * came. */
bool bell_wait(int bell, int timeout_ms);

/* ring.c */
struct ring_entry {
	uint64_t request; /* fuse_req_t. Whoever gets it by ring_take answers it; 0 while somebody has it */
	uint64_t job;	  /* fuse_req_t in the hands of the disk threads; theirs, as the next four */
	uint64_t job_lease;
	uint32_t job_size;
	uint32_t job_generation;
	uint32_t job_next;
	/* What was asked, written by the submitter before LOCAL: a copy that control cannot change. */
	uint32_t op;
	uint32_t size;
	uint64_t node;
	uint64_t handle;
	uint64_t offset;
	uint32_t pid;
	uint32_t bad; /* the bytes vouched for could not be read once already */
};
struct ring {
	struct region *region;
	struct ring_entry *entries;
	int shim_bell;
	int control_bell;
	uint64_t high;		/* private twin of header.slots_high */
	uint32_t first_free[2]; /* hints: rows below are likely in use; [0] reserved rows, [1] READ rows */
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
bool ring_claim(struct ring *ring, uint32_t op, struct row *row);
bool ring_step(struct ring *ring, struct row row, uint32_t from, uint32_t to);
bool ring_free(struct ring *ring, struct row row, uint32_t from);
struct ask;
/* What was asked, into the shim's own copy. */
void ring_note(struct ring_entry *entry, const struct ask *ask, uint32_t pid);
void *ring_take(struct ring *ring, uint32_t index);
void ring_put(struct ring *ring, uint32_t index, void *request);
/* LOCAL -> SUBMITTED, and rings. The row must be complete, its request put and len zeroed. False: the word
 * was not the shim's any more. */
bool ring_submit(struct ring *ring, struct row row);
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
/* The row if it is open in this generation, else NULL. */
struct fsmvp_handle *handle_find(struct handles *handles, uint64_t id);
void handle_account(struct fsmvp_handle *row, uint64_t offset, uint64_t bytes);

/* lease.c */
struct lease_view {
	uint64_t id;
	uint64_t node;
	uint64_t length;
	const uint64_t *map;
	uint64_t map_words;
	uint32_t root;
	uint32_t block_shift;
	bool window; /* its map has a word a block; it has no name */
	char name[FSMVP_LEASE_NAME + 1];
};
enum lease_how {
	LEASE_VOUCHED = 1,   /* control vouches for the range: do not look at the map */
	LEASE_MAY_BLOCK = 2, /* a disk thread */
};
struct lease_file {
	uint64_t word; /* count of readers and the flags of lease_file.c */
	uint64_t lease;
	uint64_t used;	/* leases.opens at the last use */
	uint64_t plain; /* preadv2 knows no RWF_NOWAIT here */
	int fd;
	bool memory; /* tmpfs: a plain read never waits for a disk */
};
struct leases {
	const struct region *region;
	int roots[SHIM_ROOTS_MAX];
	uint64_t window_bytes[SHIM_ROOTS_MAX]; /* of a root that is a window; else 0 */
	uint32_t root_count;
	struct lease_file *files; /* SHIM_LEASE_FILES */
	uint32_t *table;	  /* lease index -> file + 1 */
	uint64_t opens;
	uint64_t opening[SHIM_DISK_THREADS]; /* the lease a disk thread is opening now */
};
int leases_open(struct leases *leases, const struct region *region, const int *roots, uint32_t root_count);
/* Whether the lease's row still has its generation. */
bool lease_is_current(const struct leases *leases, uint64_t id);
/* A checked copy of the row. -ESTALE: not current. -EPROTO: control wrote what cannot be. */
int lease_view(const struct region *region, uint32_t roots, uint64_t id, struct lease_view *view);
bool lease_present(const struct lease_view *view, uint64_t from, uint64_t end);
/* Bytes read (fewer than asked only at the end of the file) or -EAGAIN: a disk thread must, -ENODATA: not all
 * present (with LEASE_VOUCHED of a window alone), -ESTALE: the lease is not current, or what the disk said.
 * `thread` is the disk thread's number with LEASE_MAY_BLOCK. */
ssize_t lease_read(struct leases *leases, uint64_t id, uint64_t node, uint64_t offset, uint32_t size,
		   unsigned how, uint32_t thread, uint8_t *into);

/* window.c */
/* Bytes of a window lease into `into`, without waiting: all `size`, or -ENODATA: not all there, or not any more,
 * -ESTALE, -EPROTO or -EIO. [offset, offset + size) is in the file, at most FSMVP_READ_MAX long. */
ssize_t window_read(const struct leases *leases, const struct lease_view *view, uint64_t offset,
		    uint32_t size, unsigned how, uint8_t *into);

/* lease_file.c: descriptors kept for leases. */
struct lease_file *lease_file_get(struct leases *leases, uint64_t id);
struct lease_file *lease_file_open(struct leases *leases, const struct lease_view *view, uint32_t thread,
				   int *error);
void lease_file_put(struct lease_file *file);
/* True when no descriptor of that lease is left; else ask again. */
bool lease_file_revoke(struct leases *leases, uint64_t id);
void lease_file_sweep(struct leases *leases);

/* buffer.c: resident memory to reply from. */
struct buffer {
	uint8_t *bytes; /* FSMVP_READ_MAX */
	uint64_t state;
	uint64_t used_at;
	uint64_t resident;
};
int buffer_create(struct buffer *buffer);
void buffer_enter(struct buffer *buffer);
void buffer_leave(struct buffer *buffer);
/* True if it gave memory back. */
bool buffer_trim(struct buffer *buffer, uint64_t now);

/* disk.c */
struct disk {
	pthread_mutex_t lock; /* protects all but the buffers */
	pthread_cond_t wake;
	uint32_t threads;
	uint32_t idle;
	uint32_t head, tail;
	uint64_t busy[SHIM_DISK_THREADS]; /* the lease each reads from; 0 idle */
	struct buffer buffers[SHIM_DISK_THREADS];
};

/* invalidate.c */
struct invalidation {
	struct invalidation *next;
	struct fsmvp_invalidate what;
	uint64_t number;
	uint64_t connection; /* of the link it came over */
	uint64_t walk;	     /* the completion walk that had begun when it arrived */
};
struct invalidator {
	pthread_mutex_t lock;
	pthread_cond_t wake; /* an order came, or a walk ended */
	struct invalidation *head, **tail;
	uint32_t waiting; /* for a walk to end */
	uint64_t walk_begun, walk_ended;
};

struct options {
	const char *mountpoint;
	const char *fsname;
	const char *subtype;
	int listen_fd;
	/* Of a successor: what it is handed of the mount. */
	int fuse_fd, region_fd, shim_bell, control_bell;
	uint32_t shim_timeout_ms, orphan_timeout_ms;
	int roots[SHIM_ROOTS_MAX];
	uint32_t root_count;
	uint32_t workers;
	uint32_t read_ahead_kib;
	uint32_t log_level;
	bool read_only;
	bool successor;
	bool help;
	bool abi; /* print the number, end */
};

struct shim {
	struct options options;
	struct region region;
	struct ring ring;
	struct handles handles;
	struct leases leases;
	struct disk disk;
	struct invalidator invalidator;
	struct fuse_session *session;
	struct buffer buffers[FSMVP_WORKERS_MAX + 1]; /* one a worker; the last is the completion thread's */
	int fuse_fd, region_fd, shim_bell, control_bell, canceller_bell;
	uint64_t canceller_parked;
	uint64_t hurry;	   /* FUSE_INTERRUPTs seen */
	uint64_t orphaned; /* nobody will complete what is forwarded: it is answered EIO */
	uint64_t workers_left, completion_left; /* threads that have left for good, handing over */
	char mountpoint[FSMVP_MOUNTPOINT_MAX];
};

struct ask {
	uint32_t op;
	uint64_t node, handle, arg0, arg1, arg2;
	const char *name;
	size_t name_length;
};

/* What a successor wants of a request that is in the ring already. */
struct adoption {
	struct fuse_req *request;
	struct ask ask;
};

/* What a thread has in hand while libfuse calls a handler. */
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

/* options.c. 0 or -EINVAL with the reason in `message`. */
int options_parse(struct options *options, int argc, char **argv, char message[SHIM_MESSAGE_MAX]);

/* mountinfo.c, mount.c, fusermount.c */
bool mountinfo_find(const char *text, const char *mountpoint, uint32_t *major, uint32_t *minor);
/* Commas and backslashes escaped. False: no room. */
bool mount_escape(char *into, size_t room, const char *text);
/* The descriptor, or a negative errno with a sentence in `message`. */
int mount_start(const struct options *options, const char *mountpoint, char message[SHIM_MESSAGE_MAX]);
void mount_undo(const char *mountpoint);
void mount_read_ahead(const char *mountpoint, uint32_t kib);
/* The text of a file of /proc, to be freed; NULL: there is none. */
char *read_file(const char *path);
int fusermount_start(const struct options *options, const char *mountpoint, char message[SHIM_MESSAGE_MAX]);
void fusermount_undo(const char *mountpoint);

/* init.c */
/* What to answer to a FUSE_INIT; returns the length, 0 if it cannot be answered. */
uint32_t init_answer(const void *request, uint32_t length, uint8_t answer[80]);
int init_handshake(int fuse_fd, struct fsmvp_header *header, char message[SHIM_MESSAGE_MAX]);

/* session.c, ops.c */
int session_start(struct shim *shim);
struct fuse_lowlevel_ops;
extern const struct fuse_lowlevel_ops shim_ops;

/* forward.c, reply.c, listing.c */
struct fuse_req;
void forward(struct shim *shim, struct fuse_req *request, const struct ask *ask);
/* A read that needs a disk thread. */
void forward_to_disk(struct shim *shim, struct fuse_req *request, const struct ask *ask, uint64_t lease);
/* A LOCAL row goes to control after all. */
void forward_row(struct shim *shim, struct row row, struct fuse_req *request);
void answered_inline(struct shim *shim, uint32_t op);
bool attr_to_stat(const struct fsmvp_attr *attr, struct stat *out);
/* Answers a DONE row of which this thread has the request, or hands it to a disk thread. */
void reply_done(struct shim *shim, struct row row, struct fuse_req *request, struct buffer *buffer);
/* `from` is LOCAL or DONE: the state the row is in. */
void reply_read(struct shim *shim, struct row row, uint32_t from, struct fuse_req *request,
		const uint8_t *bytes, size_t length);
/* `why` is lease_read's error. */
void reply_bad(struct shim *shim, struct row row, struct fuse_req *request, ssize_t why);
/* Payload records to what the kernel reads. Bytes written, 0 at the end, or -EPROTO, -EINVAL (no room for
 * one). */
ssize_t listing_convert(const uint8_t *payload, size_t length, uint64_t after, bool plus, uint8_t *out,
			size_t room);
#define SHIM_FOREVER 1e9 /* seconds: entry and attribute timeouts without end */

/* frame.c. Length of the frame at the front of `bytes`, 0 if it is not whole yet, -EPROTO if it cannot be
 * one. */
int frame_parse(const uint8_t *bytes, size_t length, struct fsmvp_frame *frame);

/* caller.c */
bool caller_dying(const char *status);
bool caller_gone_or_dying(uint32_t tid);

/* threads */
int thread_start(const char *name, void *(*body)(void *), void *argument);
void worker_start(struct shim *shim, uint32_t number);
/* Makes a worker's read of /dev/fuse return, if one waits there. */
void worker_interrupt(struct shim *shim);
void completion_start(struct shim *shim);
void completion_walk(struct shim *shim, struct buffer *buffer);
int disk_open(struct disk *disk);
bool disk_is_idle(struct disk *disk);
/* The row is LOCAL or DONE, its request the caller's, who touches neither afterwards. */
void disk_hand(struct shim *shim, struct row row, struct fuse_req *request, uint64_t lease, uint32_t size);
void canceller_start(struct shim *shim);
void canceller_wake(struct shim *shim, bool hurry);
void canceller_look(struct shim *shim, bool all, uint64_t now);
void invalidate_start(struct shim *shim);
void invalidate_order(struct shim *shim, const struct fsmvp_invalidate *what, uint64_t number,
		      uint64_t connection);
void invalidate_walk_begins(struct invalidator *invalidator);
void invalidate_walk_ended(struct invalidator *invalidator);

/* gate.c: threads pass it when there is something to do, and leave for good when the shim hands over. */
void gate_pass(void);
void gate_open(void);
void gate_close(void);
/* Where a thread has nothing in hand: does not return once the gate is closed. */
void gate_leave(uint64_t *left);

/* standby.c, takeover.c, drain.c, orphan.c */
bool mount_is_gone(int fuse_fd);
/* Waits until this shim is the active one, and when its predecessor ended. False: the mount is gone. */
bool standby_wait(struct shim *shim, uint64_t *ended_at);
void takeover(struct shim *shim, uint64_t ended_at);
void drain_prepare(void);
void drain_start(struct shim *shim);
void orphan_tick(struct shim *shim, bool is_linked, uint32_t tick_ms);

/* hello.c, link.c, orders.c */
/* Reads the hello of a fresh connection: true if the peer may be answered, `problem` 0 or a positive errno
 * with its sentence. */
bool hello_receive(int fd, int *problem, char message[SHIM_MESSAGE_MAX]);
int hello_refuse(int fd, int problem, const char *message);
int hello_welcome(struct shim *shim, int fd);
/* A failed start: tells the first control connection why, or stderr when nobody comes. */
void hello_wait_and_refuse(int listen_fd, int problem, const char *message);
void link_run(struct shim *shim);
/* Any thread: there is something for the link thread to send. */
void link_wake(void);
/* Any thread: control is not trusted further, its link ends. */
void link_distrust(void);

/* orders.c: what control orders. Link thread, but for the acknowledgement. */
/* True: a revocation waits for a reader; call orders_revoke_again until it is false. */
bool orders_obey(struct shim *shim, const struct fsmvp_frame *frame, const uint8_t *body,
		 uint64_t connection);
bool orders_revoke_again(struct shim *shim);
/* Any thread: the order is done. */
void orders_acknowledge(uint64_t number, uint64_t connection);
bool orders_take_acknowledged(uint64_t *number, uint64_t *connection);

#endif
