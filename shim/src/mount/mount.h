/* SPDX-License-Identifier: MIT
 *
 * Mounting, and what is known of a mount without asking it. It has no state: the descriptor of /dev/fuse is the
 * caller's.
 */
#ifndef FSMVP_MOUNT_H
#define FSMVP_MOUNT_H

#include "life/base.h"

struct options;

/* mountinfo.c */
bool mountinfo_find(const char *text, const char *mountpoint, uint32_t *major, uint32_t *minor);
/* Commas and backslashes escaped. False: no room. */
bool mount_escape(char *into, size_t room, const char *text);

/* mount.c */
/* The descriptor, or a negative errno with a sentence in `message`. */
int mount_start(const struct options *options, const char *mountpoint, char message[SHIM_MESSAGE_MAX]);
void mount_undo(const char *mountpoint);
void mount_read_ahead(const char *mountpoint, uint32_t kib);
/* The text of a file of /proc, to be freed; NULL: there is none. */
char *read_file(const char *path);

/* fusermount.c */
int fusermount_start(const struct options *options, const char *mountpoint, char message[SHIM_MESSAGE_MAX]);
void fusermount_undo(const char *mountpoint);

/* init.c */
/* Fills in the answer to a FUSE_INIT; returns the length, 0 if it cannot be answered. */
uint32_t init_answer(const void *request, uint32_t length, uint64_t page_size, uint8_t answer[80]);
/* How many pages of that size the kernel may ask for in a READ: FSMVP_READ_MAX bytes at most. */
uint16_t init_max_pages(uint64_t page_size);
/* The minor version of a FUSE_INIT; 0 if it cannot be read. */
uint32_t init_minor(const void *request, uint32_t length);
int init_handshake(int fuse_fd, struct fsmvp_header *header, char message[SHIM_MESSAGE_MAX]);

#endif
