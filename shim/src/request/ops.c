/* SPDX-License-Identifier: MIT
 *
 * The handlers that libfuse calls for each request: decode, then answer from the shim's own state or forward.
 * Workers; waits for nothing. Nothing is kept here.
 */
#include "request/request.h"
#include "bytes/bytes.h"
#include "life/base.h"
#include "shim.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

/* A successor asks for the fuse_req_t of a request that is in the ring already, and for nothing else. */
static bool adopted(fuse_req_t req, const struct ask *ask)
{
	if (!current.adopt)
		return false;
	*current.adopt = (struct adoption){.request = req, .ask = *ask};
	return true;
}

static struct shim *shim_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static bool has_flag(const struct shim *shim, uint32_t flag)
{
	return fsmvp_load_relaxed32(&shim->region.header->volume_flags) & flag;
}

static bool read_only(const struct shim *shim)
{
	return has_flag(shim, FSMVP_VOLUME_READ_ONLY);
}

static void answer_error(fuse_req_t req, uint32_t op, int error)
{
	struct shim *shim = shim_of(req);

	fuse_reply_err(req, error);
	answered_inline(shim, op);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	((struct shim *)userdata)->is_initialised = true;
	/* So that libfuse, too, thinks of 8 KiB requests. */
	conn->max_write = 4096;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ask ask = {.op = FSMVP_OP_LOOKUP, .node = parent, .name = name, .name_length = strlen(name)};

	if (adopted(req, &ask))
		return;
	POISON(name);
	if (ask.name_length > FSMVP_NAME_MAX)
		answer_error(req, FSMVP_OP_LOOKUP, ENAMETOOLONG);
	else
		forward(shim_of(req), req, &ask);
}

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *file)
{
	struct ask ask = {.op = FSMVP_OP_GETATTR, .node = node};

	(void)file;
	if (!adopted(req, &ask))
		forward(shim_of(req), req, &ask);
}

static void op_readlink(fuse_req_t req, fuse_ino_t node)
{
	struct ask ask = {.op = FSMVP_OP_READLINK, .node = node};

	if (!adopted(req, &ask))
		forward(shim_of(req), req, &ask);
}

/* ENOSYS, once, if the volume has none: from then on the kernel says so by itself. */
static void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct ask ask = {
	    .op = FSMVP_OP_GETXATTR, .node = node, .arg1 = size, .name = name, .name_length = strlen(name)};

	if (adopted(req, &ask))
		return;
	if (!has_flag(shim_of(req), FSMVP_VOLUME_XATTR))
		answer_error(req, FSMVP_OP_OTHER, ENOSYS);
	else if (ask.name_length > FSMVP_NAME_MAX)
		answer_error(req, FSMVP_OP_GETXATTR, ERANGE);
	else
		forward(shim_of(req), req, &ask);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct ask ask = {.op = FSMVP_OP_LISTXATTR, .node = node, .arg1 = size};

	if (adopted(req, &ask))
		return;
	if (!has_flag(shim_of(req), FSMVP_VOLUME_XATTR))
		answer_error(req, FSMVP_OP_OTHER, ENOSYS);
	else
		forward(shim_of(req), req, &ask);
}

static void list(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, uint64_t plus)
{
	struct ask ask = {.op = FSMVP_OP_READDIR,
			  .node = node,
			  .arg0 = (uint64_t)offset,
			  .arg1 = size < FSMVP_READ_MAX ? size : FSMVP_READ_MAX,
			  .arg2 = plus};

	if (!adopted(req, &ask))
		forward(shim_of(req), req, &ask);
}

static void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
		       struct fuse_file_info *file)
{
	(void)file;
	list(req, node, size, offset, 0);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
			   struct fuse_file_info *file)
{
	(void)file;
	list(req, node, size, offset, 1);
}

/* ENOSYS, once: from then on the kernel opens directories by itself and keeps their listings. */
static void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *file)
{
	(void)node;
	(void)file;
	answer_error(req, FSMVP_OP_OTHER, ENOSYS);
}

static void log_full_handles(const struct fsmvp_header *header)
{
	uint64_t count = fsmvp_load_relaxed(&header->count_handles_full);

	if (trace_is_due(count))
		log_write(LOG_ERROR,
			  "%u files are open, which is all there is room for: an open is answered ENFILE "
			  "(%llu so far)",
			  FSMVP_HANDLES, (unsigned long long)count);
}

static void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *file)
{
	struct ask ask = {.op = FSMVP_OP_OPEN, .node = node, .arg0 = (uint32_t)file->flags};
	struct shim *shim = shim_of(req);
	struct fsmvp_handle *row;

	if (adopted(req, &ask))
		return;
	if ((file->flags & O_ACCMODE) != O_RDONLY && read_only(shim)) {
		answer_error(req, FSMVP_OP_OPEN, EROFS);
		return;
	}
	if (!handle_claim(&shim->handles, &ask.handle)) {
		log_full_handles(shim->region.header);
		answer_error(req, FSMVP_OP_OPEN, ENFILE);
		return;
	}
	row = &shim->region.handles[fsmvp_low(ask.handle)];
	row->node = node;
	memcpy(&row->unique, current.raw + 8, sizeof(row->unique)); /* fuse_in_header.unique */
	fsmvp_store_relaxed(&row->lease, handle_unanswered(ask.handle));
	fsmvp_store_relaxed(&row->bytes, 0);
	fsmvp_store_relaxed(&row->cursor, 0);
	fsmvp_store_relaxed(&row->length, 0);
	row->pid = (uint32_t)fuse_req_ctx(req)->pid;
	row->open_flags = (uint32_t)file->flags;
	row->mode = 0;
	row->backing_id = 0;
	KILL_POINT("open.filled");
	forward(shim, req, &ask);
}

/* Bytes already here are answered at once; a disk thread gets what may wait for the disk; everything else is
 * control's. */
static void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *file)
{
	struct ask ask = {
	    .op = FSMVP_OP_READ, .node = node, .handle = file->fh, .arg0 = (uint64_t)offset, .arg1 = size};
	struct shim *shim = shim_of(req);
	struct fsmvp_handle *row;
	uint64_t lease = 0;
	ssize_t got = -ESTALE;

	if (adopted(req, &ask))
		return;
	/* The kernel was told a maximum at INIT and at the mount. An answer of less than it asked for would be the end
	 * of the file. */
	if (size > FSMVP_READ_MAX) {
		reply_count_short(&shim->region, node, ask.arg0, size, FSMVP_READ_MAX);
		answer_error(req, FSMVP_OP_READ, EIO);
		return;
	}
	row = handle_find(&shim->handles, ask.handle);
	if (row && fsmvp_load_relaxed(&row->node) == node)
		lease = fsmvp_load_acquire(&row->lease);
	if (lease != 0) {
		if (fsmvp_load_relaxed(&row->length) == 0)
			handle_learn(row, lease_length(&shim->leases, lease, node));
		buffer_enter(current.buffer);
		got = lease_read(&shim->leases, lease, node, ask.arg0, (uint32_t)ask.arg1, 0, 0,
				 current.buffer->bytes);
		if (got >= 0 &&
		    !read_is_whole(ask.arg0, size, (uint64_t)got, fsmvp_load_relaxed(&row->length))) {
			reply_count_short(&shim->region, node, ask.arg0, size, (uint64_t)got);
			answer_error(req, FSMVP_OP_READ, EIO);
		} else if (got >= 0) {
			handle_account(row, ask.arg0, (uint64_t)got);
			fsmvp_add_relaxed(&shim->region.header->count_leased, 1);
			fsmvp_add_relaxed(&shim->region.header->bytes_leased, (uint64_t)got);
			KILL_POINT("read.copied");
			fuse_reply_buf(req, (const char *)current.buffer->bytes, (size_t)got);
			answered_inline(shim, FSMVP_OP_READ);
		}
		buffer_leave(current.buffer);
	}
	if (got == -EAGAIN)
		forward_to_disk(shim, req, &ask, lease);
	else if (got < 0)
		forward(shim, req, &ask);
}

static void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *file)
{
	(void)node;
	handle_release(&shim_of(req)->handles, file->fh);
	answer_error(req, FSMVP_OP_RELEASE, 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct shim *shim = shim_of(req);
	struct fsmvp_header *header = shim->region.header;
	uint64_t available = fsmvp_load_relaxed(&header->statfs_free);
	uint32_t block = fsmvp_load_relaxed32(&header->statfs_bsize);
	struct statvfs figures = {
	    .f_bsize = block != 0 ? block : 4096,
	    .f_frsize = block != 0 ? block : 4096,
	    .f_blocks = fsmvp_load_relaxed(&header->statfs_blocks),
	    .f_bfree = available,
	    .f_bavail = available,
	    .f_files = fsmvp_load_relaxed(&header->statfs_files),
	    .f_namemax = fsmvp_load_relaxed32(&header->statfs_namemax),
	};

	(void)node;
	fuse_reply_statfs(req, &figures);
	answered_inline(shim, FSMVP_OP_STATFS);
}

/* Refuses operations that would change the volume. */
static void refuse_change(fuse_req_t req)
{
	answer_error(req, FSMVP_OP_OTHER, read_only(shim_of(req)) ? EROFS : ENOSYS);
}

#define REFUSE(name, ...)                                                                                    \
	static void op_##name(fuse_req_t req, __VA_ARGS__)                                                   \
	{                                                                                                    \
		refuse_change(req);                                                                          \
	}

/* Only the request is looked at; the names of the others are the compiler's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
REFUSE(setattr, fuse_ino_t n, struct stat *s, int set, struct fuse_file_info *f)
REFUSE(mknod, fuse_ino_t n, const char *name, mode_t mode, dev_t device)
REFUSE(mkdir, fuse_ino_t n, const char *name, mode_t mode)
REFUSE(unlink, fuse_ino_t n, const char *name)
REFUSE(rmdir, fuse_ino_t n, const char *name)
REFUSE(symlink, const char *target, fuse_ino_t n, const char *name)
REFUSE(rename, fuse_ino_t n, const char *name, fuse_ino_t m, const char *other, unsigned flags)
REFUSE(link, fuse_ino_t n, fuse_ino_t m, const char *name)
REFUSE(create, fuse_ino_t n, const char *name, mode_t mode, struct fuse_file_info *f)
REFUSE(write, fuse_ino_t n, const char *bytes, size_t size, off_t offset, struct fuse_file_info *f)
REFUSE(fallocate, fuse_ino_t n, int mode, off_t offset, off_t length, struct fuse_file_info *f)
REFUSE(setxattr, fuse_ino_t n, const char *name, const char *value, size_t size, int flags)
REFUSE(removexattr, fuse_ino_t n, const char *name)
REFUSE(copy_file_range, fuse_ino_t n, off_t at, struct fuse_file_info *f, fuse_ino_t m, off_t to,
       struct fuse_file_info *g, size_t length, int flags)
#pragma GCC diagnostic pop

/* Not here, so libfuse answers ENOSYS and the kernel does it alone: flush, fsync, access, lseek,
 * locks. */
const struct fuse_lowlevel_ops shim_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .opendir = op_opendir,
    .open = op_open,
    .read = op_read,
    .release = op_release,
    .statfs = op_statfs,
    .setattr = op_setattr,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .create = op_create,
    .write = op_write,
    .fallocate = op_fallocate,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
    .copy_file_range = op_copy_file_range,
};
