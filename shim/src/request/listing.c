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

bool attr_to_stat(const struct fsmvp_attr *attr, struct stat *out)
{
	struct timespec time;

	if (attr->node == 0 || attr->size > INT64_MAX || !(S_ISDIR(attr->mode) || S_ISREG(attr->mode)))
		return false;
	time.tv_sec = attr->mtime_ns / NS_PER_S;
	time.tv_nsec = attr->mtime_ns % NS_PER_S;
	if (time.tv_nsec < 0) {
		time.tv_nsec += NS_PER_S;
		time.tv_sec--;
	}
	*out = (struct stat){
	    .st_ino = attr->node,
	    .st_mode = attr->mode,
	    .st_nlink = attr->nlink,
	    .st_uid = attr->uid,
	    .st_gid = attr->gid,
	    .st_size = (off_t)attr->size,
	    .st_blocks = (blkcnt_t)(attr->size / 512 + (attr->size % 512 != 0)),
	    .st_mtim = time,
	    .st_atim = time,
	    .st_ctim = time,
	};
	return true;
}

struct record {
	struct fuse_entry_param entry;
	uint64_t cursor;
	size_t length; /* in the payload, padded */
	char name[FSMVP_NAME_MAX + 1];
};

static bool decode(const uint8_t *bytes, size_t left, struct record *record)
{
	struct fsmvp_dirent dirent;

	if (left < sizeof(dirent))
		return false;
	memcpy(&dirent, bytes, sizeof(dirent));
	record->length = (sizeof(dirent) + dirent.name_length + 7) & ~(size_t)7;
	if (dirent.name_length == 0 || dirent.name_length > FSMVP_NAME_MAX || record->length > left)
		return false;
	memcpy(record->name, bytes + sizeof(dirent), dirent.name_length);
	if (memchr(record->name, '/', dirent.name_length) || memchr(record->name, '\0', dirent.name_length))
		return false;
	record->name[dirent.name_length] = '\0';
	record->cursor = dirent.cursor;
	record->entry = (struct fuse_entry_param){
	    .ino = dirent.attr.node,
	    .generation = 1,
	    .attr_timeout = SHIM_FOREVER,
	    .entry_timeout = SHIM_FOREVER,
	};
	return dirent.cursor <= INT64_MAX && attr_to_stat(&dirent.attr, &record->entry.attr);
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
