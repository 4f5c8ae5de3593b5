/* SPDX-License-Identifier: MIT
 *
 * THE CONTRACT between the two processes of FuseStream: the shim (C, answers the kernel) and the control plane (Swift,
 * owns everything else).
 *
 * PRINCIPLE
 *   If a process dies at any instruction, the region says what it had in hand. State words are the truth. Each
 *   transition of a state word belongs to one side and is made by compare-and-swap carrying the row's generation, or by
 *   a release store after everything it vouches for is written. Each side treats the other's indices, lengths, names
 *   and states as hostile: out of range is counted, logged once, dropped.
 *
 * REGION
 *   One memfd per mount, made by the shim that mounts, at its largest size, sparse, sealed against shrinking and
 *   growing. Little endian, as the machine. The header's directory says where each section is; no reader assumes an
 *   offset, so a later section moves nothing.
 *
 *     header       4 KiB                    struct fsmvp_header
 *     receive      16 x 8 KiB               one per worker; the kernel writes requests straight into it. len != 0
 *                                           means: a request is in hand here
 *     words        4,096 x 8 B              the ring: state words of the slots (state in the low half, generation in
 *                                           the high half)
 *     slots        4,096 x 512 B            struct fsmvp_slot; rows 0..127 are kept for what is not READ; of them
 *                                           64..127 take a READ that a disk thread serves, if no other row is free
 *     payload      4,096 x 4 KiB            one row per slot: an answer of up to 4 KiB, see PAYLOAD
 *     handles      65,536 x 128 B           struct fsmvp_handle: open files
 *     leases       16,384 x 128 B           struct fsmvp_lease: bytes the shim may serve by itself
 *     maps         64 MiB of 64-bit words   bit k of a file lease's map: block k is present; word k of a window
 *                                           lease's: where block k is
 *     histograms   16 x 8 rows of 2,112 B   struct fsmvp_histogram, [op][segment]
 *     frames       16,384 x 8 B             when the shim last served bytes from that frame of the window,
 *                                           CLOCK_MONOTONIC ns, and in the low 7 bits how far into it that read went,
 *                                           in pages of 4 KiB (1..64); 0 never. A hint
 *     waiting      32,768 x 384 B           struct fsmvp_waiting: requests that found no free slot. The shim's alone
 *     listings     128 x 32 KiB             one row per reserved slot: an answer of more than 4 KiB
 *
 * FEATURES
 *   The ABI number changes with the meaning of what is there. What is added later gets a bit: `features` has the bits
 *   that a side knows, `needs` those without which it does not work with another side. A bit of `features` that the
 *   other side does not know is no reason to refuse; a bit of `needs` that it does not know is one, said in one
 *   sentence. Both stand in each hello, and in the region's header as of the shim that made it: a later section, or a
 *   field in what is reserved now, has no bit of `needs` if a reader may pass it by. This ABI defines no bit.
 *
 * RING
 *   The ring is the circle of state words itself. There are no index queues: each side walks it (rows 0..127, then
 *   128..slots_high) and takes what is its turn. After a store that hands a slot over, a side always writes the other's
 *   doorbell (an eventfd, non-blocking from birth).
 *
 * SLOT     FREE -> FILLING -> LOCAL -> SUBMITTED -> TAKEN -> DONE -> FREE; cancelled: CANCELLED, CANCEL_DONE
 *   FREE      -> FILLING      shim
 *   FILLING   -> LOCAL        shim     row complete; the slot holds the request, and only then the receive buffer's len
 *                                      is zeroed
 *   FILLING   -> FREE         shim     a successor, or a row that could not be filled
 *   LOCAL     -> SUBMITTED    shim     after len is zeroed. fuse_req_t of the slot is not touched by the submitter
 *                                      after this store
 *   LOCAL     -> FREE         shim     a disk thread had it and replied
 *   SUBMITTED -> TAKEN        control  inside the doorbell's callback
 *   TAKEN     -> DONE         control  result written before; blocks were marked before
 *   DONE      -> FREE         shim     the reply went out (ENOENT from the kernel is success). Stays DONE while a disk
 *                                      thread reads for it
 *   DONE      -> SUBMITTED    shim     with FSMVP_SLOT_BAD: the bytes vouched for could not be read. Without: their
 *                                      block has left the window
 *   SUBMITTED -> CANCEL_DONE  shim     EINTR is answered
 *   TAKEN     -> CANCELLED    shim     EINTR is answered
 *   CANCELLED -> CANCEL_DONE  control  it has let go
 *   CANCEL_DONE -> FREE       shim
 *   TAKEN     -> SUBMITTED, CANCELLED -> CANCEL_DONE   control  a new control plane adopts
 *   Every step to FREE raises the generation by one (it wraps at 2^32).
 *
 * PAYLOAD
 *   slot.length bytes of the answer to READDIR (struct fsmvp_dirent records), READLINK (the target, no NUL), GETXATTR
 *   (the value) and LISTXATTR (names, each with its NUL). Up to FSMVP_PAYLOAD_SIZE they lie in the slot's row of the
 *   payload section, more of them in its row of the listings, which a reserved slot has. Control writes them before
 *   the result, and only of a slot that it is answering; the shim gives the memory of free rows back.
 *
 * WAITING  FREE -> FILLING -> WAITING -> MOVING -> FREE
 *   A request that finds every slot of its kind in use waits here, in the order of arrival, and moves into the first
 *   slot that becomes free; the worker that brought it goes on. The kinds are names, reads for control, and reads by a
 *   disk thread: bytes that are here wait for none that are not.
 *   Only shims touch these rows. FILLING -> WAITING: the row holds the request, and only then the receive buffer's len
 *   is zeroed. WAITING -> MOVING before a slot is filled from the row, MOVING -> FREE once that slot is LOCAL. WAITING
 *   -> FREE after EINTR or EIO was answered. Every step to FREE raises the generation by one.
 *
 * BOUNDS   4,096 slots: the request waits (header.count_slots_full). 32,768 waiting rows: EIO for that request
 *   (count_refused). 65,536 handles: ENFILE for that open (count_handles_full). 16,384 leases: control's to say.
 *   Descriptors of the shim: the least recently used lease is closed; if none can be closed the read is tried again for
 *   some seconds, then it gets the error of open(2). None of these is FSMVP_SLOT_BAD, which means that the bytes
 *   themselves are proved lost: the file is gone, shorter than its lease, or its disk reports an error. A READ is
 *   answered short only at the end of the file as the shim knows it (handle.length); any other short answer is EIO
 *   (count_short).
 *
 * HANDLE   FREE -> FILLING -> OPENING -> OPEN -> RELEASED -> FREE
 *   The shim fills the row before it forwards OPEN. At DONE the row becomes OPEN, or RELEASED if the answer is an error
 *   or EINTR, before the reply goes out. RELEASE makes it RELEASED (also from OPENING). Control alone frees (RELEASED
 *   -> FREE), raising the generation. Afterwards the shim adds one to header.released, so that control looks at the
 *   table only when there is something in it. fh = index | generation << 32. A node's openRef is the number of its rows
 *   from OPENING to RELEASED; nothing else counts it.
 *   The row's lease is written once, before it becomes OPEN, by compare-and-swap from UINT32_MAX | generation << 32,
 *   with which the shim fills it: the late replay of an OPEN that was answered long ago finds another value there, and
 *   changes nothing.
 *
 * LEASE
 *   Names a file under a cache root; the shim opens it itself (openat, O_NOFOLLOW, read only). generation is odd while
 *   control writes the row, even and not 0 when valid. A handle's lease is index | generation << 32; 0 means none.
 *   Reader: generation (acquire), fields, acquire fence, the same generation? A block's bit is set (release) after its
 *   bytes are in the file, and never cleared in that generation: the file behind a lease is immutable where marked, and
 *   is unlinked, never truncated or punched. The last block may be short: the bit speaks of its bytes below `length`.
 *
 * WINDOW
 *   With FSMVP_LEASE_WINDOW the lease is over frames of the mount's window: a memfd, sealed against shrinking and
 *   growing, handed to each shim as a root that is a regular file; `root` is its number, there is no name. The window
 *   is FSMVP_FRAMES frames of 256 KiB, and so are the lease's blocks (FSMVP_WINDOW_SHIFT). Its map has a word a block,
 *   which control alone writes, each time by one store:
 *     bits 0..30    frame + 1; 0: the block is not here
 *     bit 31        all of the block, cut to the file, is there. Without it only a READ with an answer that vouches for
 *                   a range may read that range
 *     bits 32..63   generation of this use of the frame. Control raises it with every use, so no word that names a
 *                   frame comes back. It wraps: of two, the later one is less than 2^31 ahead
 *   To give a block, control writes bytes into the frame, then stores the word (release). To take it away it stores 0,
 *   then a full fence, and only then overwrites the frame. header.window_generation is the latest there was, raised
 *   before the word is stored: a successor goes on above it.
 *   Reader: row as above, word (acquire), bytes by a read of the memfd, acquire fence, word and the row's generation
 *   again: another frame or another generation means that the copy is worth nothing. Bit 31 may be set meanwhile: bytes
 *   are only added in one use of a frame. Nothing is kept open for a window, so its revocation is acknowledged at once:
 *   a reader in the middle sees it at its second look.
 *   A block that a READ in DONE needs stays until that slot is no longer DONE in that generation. If the bytes of a
 *   READ are not those of its handle's lease, slot.lease names the one to read from. DONE vouches for the uses of
 *   frames that there were: slot.window_generation is header.window_generation as it was when the answer was written. A
 *   word of a later use is nothing that this answer vouched for, and without bit 31 the shim does not read by it. A
 *   successor of control clears the words of every window: the READs in DONE that needed them are SUBMITTED again, as
 *   often as it takes, and end in no error by it. So a new control plane may use any frame at once: an answer of the
 *   old one finds either no word, or one of a later use, before its copy or after it.
 *
 * LINK
 *   A Unix stream socket; every shim of the mount has it, the active one accepts. The control plane connects and sends
 *   struct fsmvp_hello; the shim checks peer, magic, ABI and needs and answers with its own hello, and when status is 0
 *   with these descriptors, in this order: /dev/fuse, region, the shim's doorbell (control rings), control's doorbell
 *   (the shim rings), the listening socket, then the cache roots, the window among them (enum fsmvp_descriptor): all
 *   that a control plane needs that never saw this mount before. Then frames (struct fsmvp_frame + body) both ways:
 *   orders with numbers and their acknowledgements, log lines. End of file is the news of a death. Nothing that a read
 *   waits for goes over it.
 *
 * JOURNAL: a request is at each instant in a receive buffer (len != 0), in a waiting row or in a slot, or in two of
 *   them with the same `unique`.
 *
 * TAKEOVER, by a successor: a shim started with the descriptors above, its session made from the saved FUSE_INIT, its
 *   threads made and held back.
 *   0. /dev/fuse reports an error: the mount is gone. End quietly, claim nothing.
 *   1. The active shim has ended, so no thread of it writes any more: claim `active` by compare-and-swap, raise the
 *      epoch. The loser watches the winner. Proof of the end is a readable pidfd, no such process, or another start
 *      time under its number; no other error is one. A shim that finds another one named in `active` ends itself.
 *   2. Slots FILLING -> FREE, waiting rows FILLING -> FREE, handles FILLING -> FREE. A waiting row MOVING whose
 *      `unique` a live slot has -> FREE, else -> WAITING. A receive buffer whose `unique` a live slot or a waiting row
 *      has: len = 0. OPENING handles whose `unique` is in neither -> RELEASED (an OPEN that is still in a receive
 *      buffer is replayed, and gets a row of its own).
 *   3. Every other slot is adopted in place: its raw request goes through libfuse only to get a fuse_req_t back;
 *      control's work on it never stopped. A waiting row is adopted the same way and waits on. LOCAL runs again, DONE
 *      is answered again, CANCELLED and CANCEL_DONE are answered EINTR again.
 *   4. Both doorbells are rung, the threads released; each worker first replays what its receive buffer holds.
 *      INTERRUPT and FORGET are dropped.
 *   A request is answered EIO if a thread was at work on it at FSMVP_DEATHS_MAX deaths: it may be what kills.
 *   slot.replays counts the death that may come before a thread begins (fills the row, answers DONE, reads for it,
 *   adopts it), and no longer once the thread hands the row on. One that merely waits, for control or for a thread of
 *   the shim, is not counted, however many shims die meanwhile.
 *
 * ADOPTION, by a new control plane, once the old one is dead: TAKEN -> SUBMITTED, CANCELLED -> CANCEL_DONE, itself
 *   published, both doorbells rung, the ring walked. Handles OPENING and OPEN count as open; leases over files that
 *   stand are kept, windows too but with an empty map, all others revoked.
 */
#ifndef FSMVP_WIRE_H
#define FSMVP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fsmvp_barrier.h"
#include "fsmvp_points.h"

#define FSMVP_MAGIC    UINT64_C(0x6d61657274736673) /* the bytes "sfstream" */
#define FSMVP_ABI      5u
#define FSMVP_FEATURES 0ull
#define FSMVP_NEEDS    0ull

/* header.volume_flags: what the mount was made with. */
#define FSMVP_VOLUME_READ_ONLY	 1u
#define FSMVP_VOLUME_ALLOW_OTHER 2u /* the kernel lets users in who did not mount */
#define FSMVP_VOLUME_XATTR                                                                                   \
	4u /* the volume is asked for extended attributes; else the kernel is told that there are none */

#define FSMVP_WORKERS_MAX    16u
#define FSMVP_RECEIVE_SIZE   8192u
#define FSMVP_SLOTS	     4096u
#define FSMVP_SLOTS_RESERVED 128u /* kept for what is not READ ... */
#define FSMVP_SLOTS_LOCAL    64u  /* ... the last of them also for READs by a disk thread of the shim */
#define FSMVP_SLOT_SIZE	     512u
#define FSMVP_PAYLOAD_SIZE   4096u
#define FSMVP_LISTING_SIZE   32768u /* as much as a C library reads of a directory at a time */
#define FSMVP_HANDLES	     65536u
#define FSMVP_HANDLE_SIZE    128u
#define FSMVP_LEASES	     16384u
#define FSMVP_LEASE_SIZE     128u
#define FSMVP_LEASE_NAME     64u
#define FSMVP_MAP_BYTES	     (64u << 20)
#define FSMVP_BLOCK_SHIFT    16u    /* 64 KiB blocks: half a read-ahead */
#define FSMVP_FRAMES	     16384u /* of the window; 4 GiB in all, sparse */
#define FSMVP_WINDOW_SHIFT   18u    /* bytes a frame, and a block of a window lease: 256 KiB */
#define FSMVP_WAITING	     32768u
#define FSMVP_WAITING_SIZE   384u
#define FSMVP_NAME_MAX	     255u
#define FSMVP_RAW_SIZE	     304u
#define FSMVP_READ_MAX	     (1u << 20)
#define FSMVP_HEADER_SIZE    4096u
#define FSMVP_MOUNTPOINT_MAX 1024u
/* READ slots less a few hundred, so that buffered reads queue in the kernel before the table is full. */
#define FSMVP_MAX_BACKGROUND 3712u
/* A request in the hands of so many shims that died is answered EIO. */
#define FSMVP_DEATHS_MAX 3u

enum fsmvp_section_id {
	FSMVP_SECTION_RECEIVE = 0,
	FSMVP_SECTION_WORDS = 1,
	FSMVP_SECTION_SLOTS = 2,
	FSMVP_SECTION_PAYLOAD = 3,
	FSMVP_SECTION_HANDLES = 4,
	FSMVP_SECTION_LEASES = 5,
	FSMVP_SECTION_MAPS = 6,
	FSMVP_SECTION_HISTOGRAMS = 7,
	FSMVP_SECTION_FRAMES = 8,
	FSMVP_SECTION_WAITING = 9,
	FSMVP_SECTION_LISTINGS = 10,
	FSMVP_SECTION_COUNT = 11,
};
#define FSMVP_SECTIONS_MAX 16u

/* The request of a slot. */
enum fsmvp_op {
	FSMVP_OP_LOOKUP = 1,  /* node = parent, name */
	FSMVP_OP_GETATTR = 2, /* node */
	FSMVP_OP_READDIR =
	    3, /* node, arg0 = cursor (0 first), arg1 = room in bytes, arg2 = 1: with attributes */
	FSMVP_OP_OPEN = 4,	 /* node, handle, arg0 = open flags */
	FSMVP_OP_READ = 5,	 /* node, handle, arg0 = offset, arg1 = size */
	FSMVP_OP_RELEASE = 6,	 /* never in a slot: histogram rows only */
	FSMVP_OP_STATFS = 7,	 /* likewise */
	FSMVP_OP_OTHER = 8,	 /* likewise: what the shim refuses or drops by itself */
	FSMVP_OP_READLINK = 9,	 /* node */
	FSMVP_OP_GETXATTR = 10,	 /* node, name, arg1 = room in bytes; 0: only the length is asked for */
	FSMVP_OP_LISTXATTR = 11, /* node, arg1 as of GETXATTR */
	FSMVP_OP_COUNT = 16,
};

/* The times that a histogram row measures, in nanoseconds. */
enum fsmvp_segment {
	FSMVP_SEGMENT_SUBMIT = 0,   /* taken from the kernel -> submitted      (shim)    */
	FSMVP_SEGMENT_PICKUP = 1,   /* submitted -> picked up                  (control) */
	FSMVP_SEGMENT_COMPLETE = 2, /* picked up -> completed                  (control) */
	FSMVP_SEGMENT_REPLY = 3,    /* completed -> replied                    (shim)    */
	FSMVP_SEGMENT_TOTAL = 4,    /* taken -> replied, through control       (shim)    */
	FSMVP_SEGMENT_LOCAL = 5,    /* taken -> replied, by the shim alone     (shim)    */
	FSMVP_SEGMENT_COUNT = 8,
};

enum fsmvp_slot_state {
	FSMVP_FREE = 0,
	FSMVP_FILLING = 1,
	FSMVP_LOCAL = 2,
	FSMVP_SUBMITTED = 3,
	FSMVP_TAKEN = 4,
	FSMVP_DONE = 5,
	FSMVP_CANCELLED = 6,
	FSMVP_CANCEL_DONE = 7,
	FSMVP_SLOT_STATES = 8,
};

enum fsmvp_waiting_state {
	FSMVP_WAIT_FREE = 0,
	FSMVP_WAIT_FILLING = 1,
	FSMVP_WAIT_WAITING = 2,
	FSMVP_WAIT_MOVING = 3,
};

enum fsmvp_handle_state {
	FSMVP_HANDLE_FREE = 0,
	FSMVP_HANDLE_FILLING = 1,
	FSMVP_HANDLE_OPENING = 2,
	FSMVP_HANDLE_OPEN = 3,
	FSMVP_HANDLE_RELEASED = 4,
	FSMVP_HANDLE_STATES = 5,
};

enum fsmvp_side {
	FSMVP_SIDE_SHIM = 1,
	FSMVP_SIDE_CONTROL = 2,
};

#define FSMVP_OPEN_DROPS_PAGES                                                                               \
	1u /* slot.length of an OPEN's answer: the kernel forgets the file's cached pages */
#define FSMVP_ATTR_FOREVER UINT32_MAX /* attr.entry_ms, attr.attr_ms: until the kernel is told to forget */
#define FSMVP_SLOT_BAD	   1u /* slot.flags: the bytes control vouched for could not be read once already */
/* slot.flags, waiting.flags: the kernel has sent an INTERRUPT for it, and its caller's pid is not known here. */
#define FSMVP_SLOT_INTERRUPTED 2u
#define FSMVP_WAIT_LOCAL       4u /* waiting.flags: its bytes are here, a disk thread is to read them */
#define FSMVP_LEASE_WINDOW     1u /* lease.flags: over frames of the window, not over a file */
#define FSMVP_FRAME_WHOLE      0x80000000u /* in the low half of a window's word */

struct fsmvp_section {
	uint64_t offset; /* from the region's first byte; page aligned */
	uint32_t count;	 /* rows */
	uint32_t stride; /* bytes a row */
};

struct fsmvp_header {
	uint64_t magic;
	uint32_t abi;
	uint32_t header_size;
	uint64_t features;
	uint32_t volume_flags;
	uint32_t workers;
	uint64_t region_size;
	uint64_t active; /* pid | start time << 32, as the next two */
	uint64_t standby;
	uint64_t control;
	uint64_t epoch; /* counts takeovers; the shim that mounts is 1 */
	uint64_t
	    heartbeat; /* the active shim's, CLOCK_MONOTONIC ns; stands still while none of its workers gets on */
	uint64_t released; /* handles ever made RELEASED: a hint when to look, the rows are the truth */
	uint32_t
	    slots_high; /* rows of the READ part of the ring ever used, plus FSMVP_SLOTS_RESERVED: walks stop there */
	uint32_t handles_high; /* likewise */
	uint32_t leases_high;
	uint32_t pad0;
	uint32_t init_length;
	uint32_t answer_length;
	uint64_t statfs_blocks; /* of statfs_bsize; written by control */
	uint64_t statfs_free;
	uint64_t statfs_files;
	uint32_t statfs_bsize;
	uint32_t statfs_namemax;
	uint64_t count_leased;	   /* READs answered from a lease */
	uint64_t count_forwarded;  /* slots submitted */
	uint64_t count_slots_full; /* requests that found no free slot and had to wait for one */
	uint64_t count_handles_full;
	uint64_t count_hostile;	  /* control's values out of range, dropped */
	uint64_t count_cancelled; /* EINTR answered to a dying caller */
	uint64_t bytes_leased;
	/* Requests answered EIO because the waiting rows were full, or a cached file could not be opened. */
	uint64_t count_refused;
	/* READs answered EIO because their answer would have been short before the end of the file. */
	uint64_t count_short;
	/* The mount's device number (st_dev minor names /sys/fs/fuse/connections/N), as control found it. */
	uint64_t connection;
	struct fsmvp_section sections[FSMVP_SECTIONS_MAX];
	uint8_t init[512];   /* the kernel's FUSE_INIT, raw */
	uint8_t answer[512]; /* and what was answered */
	char mountpoint[FSMVP_MOUNTPOINT_MAX];
	/* Written by control: which volume it serves here; another volume's control plane does not adopt. */
	uint64_t volume;
	/* Written by the process that ends the active shim, before it does; CLOCK_MONOTONIC ns; a successor sets it to
	 * 0. */
	uint64_t killed_at;
	/* Nanoseconds from the end of the last shim (from killed_at, if it was ended on purpose) until its successor
	 * served. */
	uint64_t outage;
	uint64_t answered; /* 1 once the active shim has answered a request; a successor begins with 0 */
	uint64_t
	    receive_unique[FSMVP_WORKERS_MAX]; /* the request that was in hand there when a shim died ... */
	uint32_t receive_deaths[FSMVP_WORKERS_MAX]; /* ... and at how many deaths its work had begun */
	uint32_t
	    window_generation; /* written by control: the latest generation that a word of a window has had */
	uint32_t waiting_high; /* one past the last waiting row ever used */
	uint64_t needs;	       /* features without which no process may work with the region */
	/* enum fsmvp_epochs, written by the shim: whether the kernel forgets all names at once. */
	uint32_t epochs;
	uint8_t pad2[1324];
};

/* The kernel's FUSE_NOTIFY_INC_EPOCH (FUSE 7.44). */
enum fsmvp_epochs {
	FSMVP_EPOCHS_UNKNOWN = 0, /* the kernel was not asked yet */
	FSMVP_EPOCHS_KNOWN = 1,
	FSMVP_EPOCHS_LACKING = 2,
};

/* A file's attributes, on the wire and in listings. */
struct fsmvp_attr {
	uint64_t node;
	uint64_t size;
	int64_t mtime_ns; /* since 1970, as the next two */
	int64_t atime_ns;
	int64_t ctime_ns;
	uint32_t mode; /* S_IFMT (a directory, a file or a symbolic link) and permissions */
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t entry_ms; /* how long the kernel keeps the name; FSMVP_ATTR_FOREVER, 0: not at all */
	uint32_t attr_ms;  /* and the attributes */
};

struct fsmvp_slot {
	uint32_t op;
	uint32_t flags;
	uint64_t unique;
	uint64_t node;
	uint64_t handle; /* index | generation << 32 */
	uint64_t arg0;
	uint64_t arg1;
	uint64_t arg2;
	int32_t error; /* control: 0 or a negative errno */
	/* Control: READ, bytes vouched for, from arg0 (less than asked only at the end of the file); OPEN,
	 * FSMVP_OPEN_DROPS_PAGES or 0; READDIR, READLINK, GETXATTR and LISTXATTR, bytes of payload. */
	uint32_t length;
	/* Control: OPEN, the lease that the handle may read from; READ, the one to read from if it is not the
	 * handle's. */
	uint64_t lease;
	uint32_t replays;  /* deaths at which a thread was at work on it; while one is, the next death, too */
	uint32_t pid;	   /* the caller's thread id; 0 from a foreign pid namespace */
	uint64_t taken_at; /* CLOCK_MONOTONIC ns, as the next four */
	uint64_t submitted_at;
	uint64_t picked_at;
	uint64_t completed_at;
	uint64_t replied_at;
	uint16_t name_offset; /* into raw; LOOKUP, GETXATTR */
	uint16_t name_length;
	uint32_t raw_length;
	struct fsmvp_attr attr; /* control: LOOKUP, GETATTR */
	uint32_t
	    window_generation; /* control: READ, the last use of a frame of the window that the answer may vouch for */
	uint32_t pad0;
	uint64_t pad[1];
	uint8_t raw[FSMVP_RAW_SIZE]; /* the request as the kernel sent it: header and arguments */
};

/* A request without a slot. */
struct fsmvp_waiting {
	uint64_t word;	 /* state | generation << 32 */
	uint64_t handle; /* of an OPEN */
	uint64_t taken_at;
	uint32_t replays; /* as of a slot */
	uint32_t flags;	  /* FSMVP_SLOT_INTERRUPTED */
	uint32_t raw_length;
	uint32_t pad0;
	uint8_t raw[FSMVP_RAW_SIZE]; /* the request as the kernel sent it */
	uint64_t pad[5];
};

/* One entry of a listing in a payload row. With FSMVP_DIRENT_ATTR its struct fsmvp_attr follows, then the name; the
 * record is padded to 8 bytes. Without attributes the kernel asks for them by a LOOKUP, if it needs any. */
struct fsmvp_dirent {
	uint64_t node;
	uint64_t
	    cursor; /* where a listing that saw this entry goes on: the entry's persisted sequence number */
	uint32_t mode; /* as of struct fsmvp_attr */
	uint16_t name_length;
	uint16_t flags; /* FSMVP_DIRENT_ATTR */
};
#define FSMVP_DIRENT_ATTR 1u

struct fsmvp_handle {
	uint64_t word; /* state | generation << 32 */
	uint64_t node;
	uint64_t unique; /* of its OPEN */
	uint64_t
	    lease; /* index | generation << 32; 0 none. Not answered yet: UINT32_MAX | the row's generation << 32 */
	uint64_t bytes;	 /* given to the kernel, read-ahead included */
	uint64_t cursor; /* the furthest byte given, plus one */
	uint32_t pid;
	uint32_t open_flags;
	uint32_t mode;	     /* reserved: buffered, direct, passthrough */
	uint32_t backing_id; /* reserved */
	uint64_t length;     /* of the file, as its first lease said; 0: not known */
	uint64_t pad[7];
};

struct fsmvp_lease {
	uint32_t generation;
	uint32_t root; /* which cache root; of a window, the root that is its memfd */
	uint64_t node;
	uint64_t length;     /* of the file */
	uint64_t map_offset; /* bytes into the maps section, a multiple of 8 */
	uint32_t map_words;
	uint32_t block_shift;
	uint32_t flags;		     /* FSMVP_LEASE_WINDOW */
	uint32_t name_length;	     /* 0 of a window */
	char name[FSMVP_LEASE_NAME]; /* no '/', not beginning with '.' */
	/* Control's, of a window: the version of the source that its bytes came under, for a successor that finds none
	 * of them; 0: not known. */
	uint64_t version;
	uint64_t pad[1]; /* reserved: cached and passthrough open counts */
};

#define FSMVP_BUCKETS 256u
struct fsmvp_histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t pad[5];
	uint64_t buckets[FSMVP_BUCKETS]; /* fsmvp_bucket() */
};

/* The descriptors that come with the shim's hello; FSMVP_FD_ROOT is the first of one or more cache roots. */
enum fsmvp_descriptor {
	FSMVP_FD_FUSE = 0,
	FSMVP_FD_REGION = 1,
	FSMVP_FD_SHIM_BELL = 2,
	FSMVP_FD_CONTROL_BELL = 3,
	FSMVP_FD_LISTEN = 4,
	FSMVP_FD_ROOT = 5,
	FSMVP_FDS_MAX = 8,
};

/* The first message each way on the link; 512 bytes. */
struct fsmvp_hello {
	uint64_t magic;
	uint32_t abi;
	int32_t status; /* 0, or a positive errno: why there is no mount; `message` says it in a sentence */
	uint64_t features;
	uint64_t identity; /* pid | start time << 32 */
	uint64_t region_size;
	uint64_t needs;
	char message[464];
};

enum fsmvp_frame_type {
	FSMVP_FRAME_ACK = 1,	    /* shim: order `number` is done */
	FSMVP_FRAME_LOG = 2,	    /* shim: u32 level, text */
	FSMVP_FRAME_INVALIDATE = 3, /* control: struct fsmvp_invalidate */
	FSMVP_FRAME_REVOKED = 4,    /* control: u64 lease; close the descriptor you keep for it */
	FSMVP_FRAME_QUIT = 5,	    /* control: end now; the mount is gone or going */
	FSMVP_FRAME_LOG_LEVEL = 6,  /* control: u32 */
	FSMVP_FRAME_DRAIN = 7,	    /* control: finish what is in your hands, then end: a successor goes on */
	/* Control: u64 nodes, one or more, whose attributes the kernel is to forget, and so the entries of directories.
	 * One acknowledgement for all. */
	FSMVP_FRAME_INVALIDATE_NODES = 8,
	/* Control: the kernel is to ask again for each name. If it cannot, header.epochs says so before the
	 * acknowledgement. */
	FSMVP_FRAME_INVALIDATE_NAMES = 9,
};
#define FSMVP_FRAME_MAX 4096u

struct fsmvp_frame {
	uint32_t length; /* with this header; at most FSMVP_FRAME_MAX */
	uint32_t type;
	uint64_t number; /* of the order, rising; 0 where nothing is acknowledged */
};

/* Offset -1: attributes only. Offset 0, length 0: every cached page too. This order and the two of nodes and names are
 * carried out after the LOOKUP, GETATTR and READDIR slots completed before them were replied. */
struct fsmvp_invalidate {
	uint64_t node;
	int64_t offset;
	int64_t length;
};

/* A state word, a handle id or a lease id: the low half is state or index, the high half the generation. */
static inline uint64_t fsmvp_pack(uint32_t low, uint32_t generation)
{
	return (uint64_t)low | (uint64_t)generation << 32;
}

static inline uint32_t fsmvp_low(uint64_t word)
{
	return (uint32_t)word;
}

static inline uint32_t fsmvp_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* Generations of uses of frames go round: the later one of two is less than half a round ahead. */
static inline bool fsmvp_is_later(uint32_t generation, uint32_t than)
{
	return (int32_t)(generation - than) > 0;
}

/* Raises header.window_generation to a later one. */
static inline void fsmvp_raise_generation(uint32_t *word, uint32_t generation)
{
	uint32_t seen = fsmvp_load_relaxed32(word);

	while (
	    fsmvp_is_later(generation, seen) &&
	    !__atomic_compare_exchange_n(word, &seen, generation, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* A word of a window's map. */
static inline uint64_t fsmvp_frame_word(uint32_t frame, bool whole, uint32_t generation)
{
	return fsmvp_pack((frame + 1) | (whole ? FSMVP_FRAME_WHOLE : 0), generation);
}

/* Its frame plus one; 0: the block is not here. */
static inline uint32_t fsmvp_frame_number(uint64_t word)
{
	return fsmvp_low(word) & ~FSMVP_FRAME_WHOLE;
}

static inline bool fsmvp_frame_is_whole(uint64_t word)
{
	return fsmvp_low(word) & FSMVP_FRAME_WHOLE;
}

/* Whether the table above lets `side` make this step. */
bool fsmvp_slot_may(enum fsmvp_side side, uint32_t from, uint32_t to);
bool fsmvp_handle_may(enum fsmvp_side side, uint32_t from, uint32_t to);

/* Makes the step if the word still is (`from`, `generation`); raises the generation on a step to FREE. False, and
 * nothing changed, if it is not, or if the table forbids it. */
bool fsmvp_slot_step(uint64_t *word, enum fsmvp_side side, uint32_t generation, uint32_t from, uint32_t to);
bool fsmvp_handle_step(uint64_t *word, enum fsmvp_side side, uint32_t generation, uint32_t from, uint32_t to);

/* The histogram bucket of a time: four to an octave, so a percentile is right within a quarter. */
uint32_t fsmvp_bucket(uint64_t nanoseconds);
/* The largest time of a bucket. */
uint64_t fsmvp_bucket_limit(uint32_t bucket);
void fsmvp_histogram_add(struct fsmvp_histogram *row, uint64_t nanoseconds);

/* Fills in header fields and directory of a fresh, zeroed region. Returns the size the region must have; with NULL only
 * that. */
uint64_t fsmvp_region_format(struct fsmvp_header *header);
/* 0 if magic, ABI and every section of a region of `size` bytes are what this build expects; else a negative errno:
 * -EPROTO not ours, -EPROTONOSUPPORT another ABI, -EOPNOTSUPP it needs a feature that this build lacks, or lacks one
 * that this build needs, -EINVAL a section out of bounds. Sections that this build does not know are not looked at. */
int fsmvp_region_check(const struct fsmvp_header *header, uint64_t size);

/* The lowest feature of `needs` that is not in `features`, from 1; 0: all are. */
static inline uint32_t fsmvp_feature_missing(uint64_t needs, uint64_t features)
{
	return (uint32_t)__builtin_ffsll((long long)(needs & ~features));
}

/* CLOCK_MONOTONIC, ns. */
uint64_t fsmvp_now(void);
/* pid | start time << 32 of a process, so that a recycled pid is not taken for it; 0 if there is none, it is a zombie,
 * or it cannot be told (errno says why): no proof of an end. */
uint64_t fsmvp_process_id(int32_t pid);
/* The same, of a zombie too: its first thread may be one while others still run, so only a pidfd says that a process
 * has ended. */
uint64_t fsmvp_process_started(int32_t pid);

enum fsmvp_life {
	FSMVP_LIFE_UNKNOWN = 0, /* it could not be looked at: no descriptor, no memory, no /proc, a sandbox */
	FSMVP_LIFE_RUNS = 1,
	FSMVP_LIFE_ENDED = 2,
};
/* Whether a thread of the process `identity` (pid | start time << 32) may still run. ENDED only on proof: no such
 * process, another start time under its number, or a zombie that has no other thread. */
enum fsmvp_life fsmvp_process_life(uint64_t identity);

/* Sends or receives exactly `length` bytes and up to 8 descriptors with the first of them, waiting at most
 * `timeout_ms`. Received descriptors are CLOEXEC; *fd_count is room on entry, how many came on return; surplus ones are
 * closed. 0 or a negative errno (-EPIPE: the other side is gone). */
int fsmvp_send(int socket, const void *data, uint32_t length, const int *fds, uint32_t fd_count,
	       int timeout_ms);
int fsmvp_receive(int socket, void *data, uint32_t length, int *fds, uint32_t *fd_count, int timeout_ms);

#endif
