/* SPDX-License-Identifier: MIT
 *
 * Mounting: mount(2) for root, else fusermount3. Main thread, before any other exists; waits for the mount
 * and for fusermount3, and never looks at the mount by its path, which would ask ourselves. Each failure is
 * one sentence that says what to do. Nothing is kept here.
 */
#include "mount/mount.h"
#include "life/base.h"
#include "life/life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static int explain_device(int error, char message[SHIM_MESSAGE_MAX])
{
	if (error == ENOENT || error == ENODEV || error == ENXIO)
		snprintf(message, SHIM_MESSAGE_MAX,
			 "/dev/fuse is not there (%s): load the fuse module with `modprobe fuse`, or give "
			 "the container the device",
			 strerror(error));
	else
		snprintf(message, SHIM_MESSAGE_MAX,
			 "/dev/fuse cannot be opened (%s): check the permissions of the device",
			 strerror(error));
	return -error;
}

static int explain_mount(const char *mountpoint, int error, char message[SHIM_MESSAGE_MAX])
{
	const char *advice = error == ENOENT	 ? "make the folder"
			     : error == ENOTDIR	 ? "choose a folder"
			     : error == ENODEV	 ? "load the fuse module with `modprobe fuse`"
			     : error == EBUSY	 ? "unmount what is mounted there, or choose another folder"
			     : error == ENOTCONN ? "a dead mount is there: `fusermount3 -u` it"
						 : "see the kernel log";

	snprintf(message, SHIM_MESSAGE_MAX, "cannot mount on %.300s (%s): %s", mountpoint, strerror(error),
		 advice);
	return -error;
}

static int mount_as_root(const struct options *options, const char *mountpoint,
			 char message[SHIM_MESSAGE_MAX])
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (options->read_only ? MS_RDONLY : 0ul);
	char type[64], data[176];
	int error, fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return explain_device(errno, message);
	snprintf(type, sizeof(type), "fuse.%s", options->subtype);
	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,max_read=%u%s", fd,
		 geteuid(), getegid(), FSMVP_READ_MAX, options->allow_other ? ",allow_other" : "");
	if (mount(options->fsname, mountpoint, type, flags, data) == 0)
		return fd;
	error = errno;
	close(fd);
	return explain_mount(mountpoint, error, message);
}

int mount_start(const struct options *options, const char *mountpoint, char message[SHIM_MESSAGE_MAX])
{
	if (geteuid() == 0) {
		int fd = mount_as_root(options, mountpoint, message);

		if (fd != -EPERM)
			return fd;
	}
	return fusermount_start(options, mountpoint, message);
}

/* After a failed start nothing stays mounted. */
void mount_undo(const char *mountpoint)
{
	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
		fusermount_undo(mountpoint);
}

char *read_file(const char *path)
{
	size_t room = 16384, used = 0;
	char *text = malloc(room), *larger;
	FILE *file = fopen(path, "re");
	size_t got;

	while (text && file && (got = fread(text + used, 1, room - used - 1, file)) > 0) {
		used += got;
		if (used < room - 1)
			continue;
		room *= 2;
		larger = realloc(text, room);
		if (!larger)
			break;
		text = larger;
	}
	if (file)
		fclose(file);
	if (text)
		text[used] = '\0';
	return text;
}

/* The kernel reads ahead 128 KiB; with 1 MiB a sequential reader is half as fast again. Without privilege it
 * stays as it is. */
void mount_read_ahead(const char *mountpoint, uint32_t kib)
{
	char path[64], value[16], *text = read_file("/proc/self/mountinfo");
	uint32_t major, minor;
	int fd;

	if (text && mountinfo_find(text, mountpoint, &major, &minor)) {
		snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major, minor);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			snprintf(value, sizeof(value), "%u", kib);
			if (write(fd, value, strlen(value)) < 0)
				log_write(LOG_NOTICE, "cannot set the read-ahead: %s", strerror(errno));
			close(fd);
		}
	}
	free(text);
}
