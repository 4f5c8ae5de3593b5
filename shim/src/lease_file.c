/* SPDX-License-Identifier: MIT
 *
 * Descriptors kept for leases, least recently used closed first. Workers and the completion thread take one
 * with two atomic steps and no lock; disk threads open (and wait for the disk); the link thread revokes. A
 * descriptor in use is closed by its last user.
 *
 * A revocation is done when no descriptor of that lease is left and no disk thread is opening one: control
 * raised the generation before it sent the order, so an opener that announced itself after the look finds its
 * lease no longer current.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LIVE  (UINT64_C(1) << 32)
#define DEAD  (UINT64_C(1) << 33) /* to be closed by its last user */
#define BUSY  (UINT64_C(1) << 34) /* being filled or closed by one thread; not LIVE */
#define COUNT (LIVE - 1)

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

static void close_file(struct lease_file *file)
{
	close(file->fd);
	fsmvp_store_relaxed(&file->lease, 0);
	fsmvp_store_release(&file->word, 0);
}

void lease_file_put(struct lease_file *file)
{
	for (;;) {
		uint64_t word = fsmvp_load_acquire(&file->word);

		if (word == (LIVE | DEAD | 1)) {
			if (!fsmvp_cas(&file->word, word, BUSY))
				continue;
			close_file(file);
			return;
		}
		if (fsmvp_cas(&file->word, word, word - 1))
			return;
	}
}

struct lease_file *lease_file_get(struct leases *leases, uint64_t id)
{
	uint32_t number = fsmvp_load_acquire32(&leases->table[fsmvp_low(id)]);
	uint64_t opens = fsmvp_load_relaxed(&leases->opens);
	struct lease_file *file;

	if (number == 0)
		return NULL;
	file = &leases->files[number - 1];
	if (!take(file))
		return NULL;
	if (fsmvp_load_relaxed(&file->lease) != id) {
		lease_file_put(file);
		return NULL;
	}
	if (fsmvp_load_relaxed(&file->used) != opens)
		fsmvp_store_relaxed(&file->used, opens);
	return file;
}

/* An entry for this thread alone: a free one, else the least recently used. There are more than threads, so
 * one always comes. */
static struct lease_file *claim(struct leases *leases)
{
	for (;;) {
		struct lease_file *oldest = NULL;

		for (uint32_t i = 0; i < SHIM_LEASE_FILES; i++) {
			struct lease_file *file = &leases->files[i];
			uint64_t word = fsmvp_load_acquire(&file->word);

			if (word == 0 && fsmvp_cas(&file->word, 0, BUSY))
				return file;
			if (word == LIVE &&
			    (!oldest || fsmvp_load_relaxed(&file->used) < fsmvp_load_relaxed(&oldest->used)))
				oldest = file;
		}
		if (oldest && fsmvp_cas(&oldest->word, LIVE, BUSY)) {
			close(oldest->fd);
			return oldest;
		}
	}
}

static int open_checked(const struct leases *leases, const struct lease_view *view, bool *memory)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, error;
	int fd = openat(leases->roots[view->root], view->name, flags | O_NOATIME);
	struct stat status;
	struct statfs system;

	if (fd < 0 && errno == EPERM)
		fd = openat(leases->roots[view->root], view->name, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0) {
		error = -errno;
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

static void condemn(struct lease_file *file)
{
	fsmvp_or_release(&file->word, DEAD);
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
	fd = open_checked(leases, view, &memory);
	if (fd < 0) {
		*error = fd;
		goto out_announced;
	}
	file = claim(leases);
	file->fd = fd;
	file->memory = memory;
	file->plain = 0;
	fsmvp_store_relaxed(&file->lease, view->id);
	fsmvp_store_relaxed(&file->used, fsmvp_load_relaxed(&leases->opens));
	fsmvp_add_relaxed(&leases->opens, 1);
	fsmvp_store_release(&file->word, LIVE | 1);
	fsmvp_store_release32(&leases->table[fsmvp_low(view->id)], (uint32_t)(file - leases->files) + 1);
	KILL_POINT("lease.opened");
	fsmvp_fence_full();
	if (!lease_is_current(leases, view->id))
		condemn(file); /* this read may still have it, the next may not */
out_announced:
	fsmvp_store_release(&leases->opening[thread], 0);
	return file;
}

bool lease_file_revoke(struct leases *leases, uint64_t id)
{
	bool gone = true;

	fsmvp_fence_full();
	for (uint32_t i = 0; i < SHIM_DISK_THREADS; i++)
		gone &= fsmvp_load_acquire(&leases->opening[i]) != id;
	for (uint32_t i = 0; i < SHIM_LEASE_FILES; i++) {
		struct lease_file *file = &leases->files[i];

		if (fsmvp_load_relaxed(&file->lease) != id)
			continue;
		if (take(file)) {
			if (fsmvp_load_relaxed(&file->lease) == id)
				condemn(file);
			lease_file_put(file);
		}
		gone &= fsmvp_load_relaxed(&file->lease) != id;
	}
	return gone;
}

/* Closes what no current lease names any more. */
void lease_file_sweep(struct leases *leases)
{
	for (uint32_t i = 0; i < SHIM_LEASE_FILES; i++) {
		uint64_t id = fsmvp_load_relaxed(&leases->files[i].lease);

		if (id != 0 && !lease_is_current(leases, id))
			lease_file_revoke(leases, id);
	}
}
