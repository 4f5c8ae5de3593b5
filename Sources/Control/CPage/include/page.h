/*
 * The page of the control API: files of assets/ that are part of the program, so that it needs no folder of its own and
 * no network.
 *
 * A file's path is what is asked for ("/", "/assets/tiles.js"). Two cannot be asked for: "signed-out.html" is the body
 * of the answer to a browser without a session, "signed-in.html" of the one to a good /login.
 */
#ifndef FSMVP_PAGE_H
#define FSMVP_PAGE_H

#include <stdbool.h>
#include <stddef.h>

/* All of it lives as long as the program. */
struct fsmvp_page_file {
	const char *path;
	/* The value of the header Content-Type. */
	const char *type;
	const unsigned char *bytes;
	size_t length;
	/* Also served without a session: the style sheet of the two bodies above. */
	bool open;
};

/* How many there are. */
size_t fsmvp_page_count(void);

/* One of them, by its place (0..count - 1); NULL past the last. */
const struct fsmvp_page_file *fsmvp_page_at(size_t index);

/* The one with this path; NULL where there is none. */
const struct fsmvp_page_file *fsmvp_page_find(const char *path);

#endif
