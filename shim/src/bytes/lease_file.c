/* SPDX-License-Identifier: MIT
 *
 * Descriptors kept for leases: an entry for each lease row, so that finding one is an index and nothing else. How many
 * are open at once follows the limit of descriptors; beyond it the clock's hand closes one that was not used since it
 * passed last. Workers and the completion thread take one with two atomic steps and no lock; disk threads open (and
 * wait for the disk); the link thread revokes. A descriptor in use is closed by its last user.
 *
 * A disk thread that finds its lease's entry in use by an older lease of that row keeps what it opened to itself: the
 * entries after the leases' are the threads' own, closed after one read.
 *
 * A revocation is done when no descriptor of that lease is left and no disk thread is opening one: control
 * raised the generation before it sent the order, so an opener that announced itself after the look finds its
 * lease no longer current. */
#include "bytes/bytes.h"
#include "life/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LIVE  (UINT64_C(1) << 32)
#define DEAD  (UINT64_C(1) << 33) /* to be closed by its last user */
#define BUSY  (UINT64_C(1) << 34) /* being filled or closed by one thread; not LIVE */
#define COUNT (LIVE - 1)

int lease_files_open(struct leases *leases)
{
	leases->files = calloc(FSMVP_LEASES + SHIM_DISK_THREADS, sizeof(struct lease_file));
	leases->files_max = limits_lease_files(limits_descriptors());
	return leases->files ? 0 : -ENOMEM;
}

static bool is_private(const struct leases *leases, const struct lease_file *file)
{
	return file - leases->files >= (ptrdiff_t)FSMVP_LEASES;
}

static bool take(struct lease_file *file)
{
	for (;;) {
		uint64_t word = fsmvp_load_acquire(&file->word);

		if ((word & (LIVE | DEAD)) != LIVE)
			return false;
		if (fsmvp_cas(&file->word, word, word + 1))
			return true;
	}
}

/* The entry is BUSY, and this thread's. */
static void close_file(struct leases *leases, struct lease_file *file)
{
	close(file->fd);
	fsmvp_store_relaxed(&file->lease, 0);
	fsmvp_store_release(&file->word, 0);
	if (is_private(leases, file))
		fsmvp_store_release(&leases->opening[file - leases->files - FSMVP_LEASES], 0);
	else
		fsmvp_add_release(&leases->files_open, UINT64_MAX);
}

void lease_file_put(struct leases *leases, struct lease_file *file)
{
	for (;;) {
		uint64_t word = fsmvp_load_acquire(&file->word);

		if (word == (LIVE | DEAD | 1)) {
			if (!fsmvp_cas(&file->word, word, BUSY))
				continue;
			close_file(leases, file);
			return;
		}
		if (fsmvp_cas(&file->word, word, word - 1))
			return;
	}
}

/* Takes the lease's entry, if it is this lease's. */
static bool take_for(struct leases *leases, struct lease_file *file, uint64_t id)
{
	if (!take(file))
		return false;
	if (fsmvp_load_relaxed(&file->lease) == id)
		return true;
	lease_file_put(leases, file);
	return false;
}

struct lease_file *lease_file_get(struct leases *leases, uint64_t id)
{
	struct lease_file *file = &leases->files[fsmvp_low(id)];

	if (!take_for(leases, file, id))
		return NULL;
	if (fsmvp_load_relaxed(&file->recent) == 0)
		fsmvp_store_relaxed(&file->recent, 1);
	return file;
}

bool lease_file_shed(struct leases *leases)
{
	uint64_t high = fsmvp_load_acquire(&leases->files_high);

	/* At the second pass all have lost the mark of the first. */
	for (uint64_t n = 0; n < 2 * high; n++) {
		uint64_t hand = fsmvp_load_relaxed(&leases->hand);
		struct lease_file *file = &leases->files[hand % high];

		fsmvp_store_relaxed(&leases->hand, hand + 1);
		if (fsmvp_load_acquire(&file->word) != LIVE)
			continue;
		if (fsmvp_load_relaxed(&file->recent) != 0)
			fsmvp_store_relaxed(&file->recent, 0);
		else if (fsmvp_cas(&file->word, LIVE, BUSY)) {
			close_file(leases, file);
			return true;
		}
	}
	return false;
}

/* An errno as lease_read's callers understand it: some numbers have a meaning of their own there. */
int lease_told(int error)
{
	return error == ESTALE || error == ENODATA || error == EPROTO || error == EBADF ? -EIO
	       : error == EAGAIN							? -EBUSY
											: -error;
}

static int open_once(const struct leases *leases, const struct lease_view *view)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = openat(leases->roots[view->root], view->name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(leases->roots[view->root], view->name, flags);
	return fd < 0 ? lease_told(errno) : fd;
}

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static int open_checked(struct leases *leases, const struct lease_view *view, bool *memory)
{
	int fd = open_once(leases, view), error;
	struct stat status;
	struct statfs system;

	/* Each descriptor that goes may be the one that was missing; a few, for others take them too. */
	for (int i = 0; i < 8 && is_shortage(fd) && lease_file_shed(leases); i++)
		fd = open_once(leases, view);
	if (fd < 0)
		return fd;
	if (fstat(fd, &status) != 0) {
		error = lease_told(errno);
		goto out_close;
	}
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size < view->length) {
		error = -EIO;
		goto out_close;
	}
	*memory = fstatfs(fd, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
	return fd;
out_close:
	close(fd);
	return error;
}

static void publish(struct lease_file *file, uint64_t id, int fd, bool memory, uint64_t word)
{
	file->fd = fd;
	file->memory = memory;
	file->plain = 0;
	fsmvp_store_relaxed(&file->recent, 1);
	fsmvp_store_relaxed(&file->lease, id);
	fsmvp_store_release(&file->word, word);
}

/* Takes an entry that is free, or holds the unused descriptor of an older lease, for this thread alone. */
static bool claim(struct leases *leases, struct lease_file *file, uint64_t id)
{
	if (fsmvp_cas(&file->word, 0, BUSY))
		return true;
	if (fsmvp_load_acquire(&file->word) != LIVE || fsmvp_load_relaxed(&file->lease) == id ||
	    !fsmvp_cas(&file->word, LIVE, BUSY))
		return false;
	close_file(leases, file);
	return fsmvp_cas(&file->word, 0, BUSY);
}

/* Keeps the descriptor: in the lease's entry, or in the thread's own. Returns it in use by this thread. */
static struct lease_file *keep(struct leases *leases, uint64_t id, int fd, bool memory, uint32_t thread)
{
	struct lease_file *file = &leases->files[fsmvp_low(id)];

	while (fsmvp_load_acquire(&leases->files_open) >= leases->files_max && lease_file_shed(leases))
		;
	if (claim(leases, file, id)) {
		fsmvp_add_release(&leases->files_open, 1);
		fsmvp_max_relaxed(&leases->files_high, (uint64_t)fsmvp_low(id) + 1);
		publish(file, id, fd, memory, LIVE | 1);
		return file;
	}
	if (take_for(leases, file, id)) { /* another thread was faster */
		close(fd);
		return file;
	}
	file = &leases->files[FSMVP_LEASES + thread];
	publish(file, id, fd, memory, LIVE | DEAD | 1);
	return file;
}

struct lease_file *lease_file_open(struct leases *leases, const struct lease_view *view, uint32_t thread,
				   int *error)
{
	struct lease_file *file = NULL;
	bool memory = false;
	int fd;

	fsmvp_store_release(&leases->opening[thread], view->id);
	fsmvp_fence_full();
	*error = -ESTALE;
	if (!lease_is_current(leases, view->id))
		goto out_announced;
	KILL_POINT("lease.opening");
	fd = open_checked(leases, view, &memory);
	if (fd < 0) {
		*error = fd;
		goto out_announced;
	}
	/* The name may be another file's since the lease was revoked. */
	if (!lease_is_current(leases, view->id)) {
		close(fd);
		goto out_announced;
	}
	file = keep(leases, view->id, fd, memory, thread);
	KILL_POINT("lease.opened");
	fsmvp_fence_full();
	if (!lease_is_current(leases, view->id))
		fsmvp_or_release(&file->word, DEAD);
	if (is_private(leases, file)) /* closing it ends the announcement */
		return file;
out_announced:
	fsmvp_store_release(&leases->opening[thread], 0);
	return file;
}

bool lease_file_revoke(struct leases *leases, uint64_t id)
{
	struct lease_file *file = &leases->files[fsmvp_low(id)];
	bool gone = true;

	fsmvp_fence_full();
	for (uint32_t i = 0; i < SHIM_DISK_THREADS; i++)
		gone &= fsmvp_load_acquire(&leases->opening[i]) != id;
	if (fsmvp_load_relaxed(&file->lease) == id && take(file)) {
		if (fsmvp_load_relaxed(&file->lease) == id)
			fsmvp_or_release(&file->word, DEAD);
		lease_file_put(leases, file);
	}
	return gone && fsmvp_load_relaxed(&file->lease) != id;
}

/* Closes what no current lease names any more. */
void lease_file_sweep(struct leases *leases)
{
	uint64_t high = fsmvp_load_acquire(&leases->files_high);

	for (uint64_t i = 0; i < high; i++) {
		uint64_t id = fsmvp_load_relaxed(&leases->files[i].lease);

		if (id != 0 && !lease_is_current(leases, id))
			lease_file_revoke(leases, id);
	}
}

enum lease_error lease_error(ssize_t error)
{
	if (error >= 0) /* fewer bytes than control vouched for */
		return LEASE_LOST;
	switch (error) {
	case -ESTALE:
	case -ENODATA:
		return LEASE_GONE;
	case -EPROTO:
	case -EBADF:
	case -EINVAL:
		return LEASE_WRONG;
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -EISDIR:
	case -ENXIO:
	case -EIO:
	case -EUCLEAN:
	case -EBADMSG:
		return LEASE_LOST;
	default:
		return LEASE_SHORTAGE;
	}
}
