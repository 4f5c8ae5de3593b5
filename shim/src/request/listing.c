/* SPDX-License-Identifier: MIT
 *
 * Attributes and listings: from the records of control to what the kernel reads. Pure functions of the
 * completion thread. A record is hostile until it is looked at: it may lie about its length and its name may
 * hold anything.
 */
#include "request/request.h"

#include <fuse_lowlevel.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define NS_PER_S INT64_C(1000000000)

static bool is_known(uint32_t mode)
{
	return S_ISDIR(mode) || S_ISREG(mode) || S_ISLNK(mode);
}

static struct timespec time_of(int64_t nanoseconds)
{
	struct timespec time = {.tv_sec = nanoseconds / NS_PER_S, .tv_nsec = nanoseconds % NS_PER_S};

	if (time.tv_nsec < 0) {
		time.tv_nsec += NS_PER_S;
		time.tv_sec--;
	}
	return time;
}

double attr_timeout(uint32_t milliseconds)
{
	return milliseconds == FSMVP_ATTR_FOREVER ? SHIM_FOREVER : milliseconds / 1000.0;
}

bool attr_to_stat(const struct fsmvp_attr *attr, struct stat *out)
{
	if (attr->node == 0 || attr->size > INT64_MAX || !is_known(attr->mode))
		return false;
	*out = (struct stat){
	    .st_ino = attr->node,
	    .st_mode = attr->mode,
	    .st_nlink = attr->nlink,
	    .st_uid = attr->uid,
	    .st_gid = attr->gid,
	    .st_size = (off_t)attr->size,
	    .st_blocks = (blkcnt_t)(attr->size / 512 + (attr->size % 512 != 0)),
	    .st_mtim = time_of(attr->mtime_ns),
	    .st_atim = time_of(attr->atime_ns),
	    .st_ctim = time_of(attr->ctime_ns),
	};
	return true;
}

bool attr_to_entry(const struct fsmvp_attr *attr, struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){
	    .ino = attr->node,
	    .generation = 1,
	    .attr_timeout = attr_timeout(attr->attr_ms),
	    .entry_timeout = attr_timeout(attr->entry_ms),
	};
	return attr_to_stat(attr, &out->attr);
}

struct record {
	struct fuse_entry_param entry;
	uint64_t cursor;
	size_t length; /* in the payload, padded */
	char name[FSMVP_NAME_MAX + 1];
};

/* Without attributes the entry's node is 0: the kernel has its name, and looks it up when it needs more. */
static bool decode(const uint8_t *bytes, size_t left, struct record *record)
{
	struct fsmvp_dirent dirent;
	struct fsmvp_attr attr;
	size_t name_at = sizeof(dirent);

	if (left < sizeof(dirent))
		return false;
	memcpy(&dirent, bytes, sizeof(dirent));
	if (dirent.flags & FSMVP_DIRENT_ATTR)
		name_at += sizeof(attr);
	record->length = (name_at + dirent.name_length + 7) & ~(size_t)7;
	if (dirent.name_length == 0 || dirent.name_length > FSMVP_NAME_MAX || record->length > left)
		return false;
	memcpy(record->name, bytes + name_at, dirent.name_length);
	if (memchr(record->name, '/', dirent.name_length) || memchr(record->name, '\0', dirent.name_length))
		return false;
	record->name[dirent.name_length] = '\0';
	record->cursor = dirent.cursor;
	if (dirent.node == 0 || !is_known(dirent.mode) || dirent.cursor > INT64_MAX)
		return false;
	if (!(dirent.flags & FSMVP_DIRENT_ATTR)) {
		record->entry = (struct fuse_entry_param){0};
		record->entry.attr.st_ino = dirent.node;
		record->entry.attr.st_mode = dirent.mode;
		return true;
	}
	memcpy(&attr, bytes + sizeof(dirent), sizeof(attr));
	return attr.node == dirent.node && attr_to_entry(&attr, &record->entry);
}

ssize_t listing_convert(const uint8_t *payload, size_t length, uint64_t after, bool plus, uint8_t *out,
			size_t room)
{
	struct record record;
	size_t used = 0;

	for (size_t at = 0; at < length; at += record.length) {
		size_t needed;

		/* A cursor that does not rise would make a reader go round for ever. */
		if (!decode(payload + at, length - at, &record) || record.cursor <= after)
			return -EPROTO;
		after = record.cursor;
		if (plus)
			needed = fuse_add_direntry_plus(NULL, (char *)out + used, room - used, record.name,
							&record.entry, (off_t)record.cursor);
		else
			needed = fuse_add_direntry(NULL, (char *)out + used, room - used, record.name,
						   &record.entry.attr, (off_t)record.cursor);
		if (needed > room - used)
			return used > 0 ? (ssize_t)used : -EINVAL;
		used += needed;
	}
	return (ssize_t)used;
}
