/* SPDX-License-Identifier: MIT
 *
 * Bytes that the shim reads itself: leases, their descriptors, the window and the buffers that replies are sent from.
 * struct leases and the buffers are members of struct shim; the files say which threads may call.
 */
#ifndef FSMVP_BYTES_H
#define FSMVP_BYTES_H

#include "life/base.h"

#include <sys/types.h>

#define SHIM_DISK_THREADS 64u /* threads that may wait for a disk, at most */

/* A checked copy of the row of a lease. */
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
/* `how` of a read that control vouches for; of a window only for uses of frames up to that generation. */
static inline uint64_t lease_vouched(uint32_t window_generation)
{
	return fsmvp_pack(LEASE_VOUCHED, window_generation);
}
struct lease_file {
	uint64_t word; /* count of readers and the flags of lease_file.c */
	uint64_t lease;
	uint64_t recent; /* used since the clock's hand passed last */
	uint64_t plain;	 /* preadv2 knows no RWF_NOWAIT here */
	int fd;
	bool memory; /* tmpfs: a plain read never waits for a disk */
};
struct leases {
	const struct region *region;
	int roots[SHIM_ROOTS_MAX];
	uint64_t window_bytes[SHIM_ROOTS_MAX]; /* of a root that is a window; else 0 */
	uint32_t root_count;
	struct lease_file *files; /* one a lease row, then one a disk thread */
	uint64_t files_max;	  /* descriptors that may be open at once */
	uint64_t files_open;
	uint64_t files_high;		     /* one past the last entry ever used */
	uint64_t hand;			     /* the clock's */
	uint64_t opening[SHIM_DISK_THREADS]; /* the lease a disk thread is opening now */
};
/* lease_view.c */
/* Its root, unchecked. */
uint32_t lease_root(const struct leases *leases, uint64_t id);
/* The length of the file behind a current lease of that node; 0: there is none. */
uint64_t lease_length(const struct leases *leases, uint64_t id, uint64_t node);
/* Whether the lease's row still has its generation. */
bool lease_is_current(const struct leases *leases, uint64_t id);
/* Fills in `view`. -ESTALE: not current. -EPROTO: control wrote what cannot be. */
int lease_view(const struct region *region, uint32_t roots, uint64_t id, struct lease_view *view);
bool lease_present(const struct lease_view *view, uint64_t from, uint64_t end);

/* lease.c */
int leases_open(struct leases *leases, const struct region *region, const int *roots, uint32_t root_count);
/* Bytes read (fewer than asked only at the end of the file) or -EAGAIN: a disk thread must, -ENODATA: not all present
 * (with LEASE_VOUCHED of a window alone), -ESTALE: the lease is not current, -EBADF: it is another node's, or what the
 * disk said. `thread` is the disk thread's number with LEASE_MAY_BLOCK. */
ssize_t lease_read(struct leases *leases, uint64_t id, uint64_t node, uint64_t offset, uint32_t size,
		   uint64_t how, uint32_t thread, uint8_t *into);

/* window.c */
/* Bytes of a window lease into `into`, without waiting: all `size`, or -ENODATA: not all there, or not any more,
 * -ESTALE, -EPROTO or -EIO. [offset, offset + size) is in the file, at most FSMVP_READ_MAX long. */
ssize_t window_read(const struct leases *leases, const struct lease_view *view, uint64_t offset,
		    uint32_t size, uint64_t how, uint8_t *into);

/* The meaning of an answer of lease_read that is not the bytes asked for. */
enum lease_error {
	LEASE_GONE,	/* the lease has ended, or the block has left the window: ask control again */
	LEASE_WRONG,	/* control named what cannot be */
	LEASE_LOST,	/* proof that the bytes are not in the cache any more */
	LEASE_SHORTAGE, /* the machine's trouble: it says nothing about the bytes, and may pass */
};
enum lease_error lease_error(ssize_t error);
/* Returns an errno of open or read as a negative number, replaced if that number is one of lease_read's own. */
int lease_told(int error);

/* lease_file.c: descriptors kept for leases. */
int lease_files_open(struct leases *leases);
/* Closes one that is not in use, the longest unused sooner. False: all are in use, or none is open. */
bool lease_file_shed(struct leases *leases);
struct lease_file *lease_file_get(struct leases *leases, uint64_t id);
struct lease_file *lease_file_open(struct leases *leases, const struct lease_view *view, uint32_t thread,
				   int *error);
void lease_file_put(struct leases *leases, struct lease_file *file);
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

#endif
