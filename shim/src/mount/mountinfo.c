/* SPDX-License-Identifier: MIT
 *
 * Reading /proc/self/mountinfo, which tells about our own mount without touching it, and writing mount
 * options. Pure functions.
 */
#include "mount/mount.h"

#include <stdio.h>
#include <string.h>

/* One path of mountinfo, up to a space: space, tab, newline and backslash are written \ooo there. */
static bool path_equals(const char *escaped, const char *end, const char *path)
{
	while (escaped < end) {
		char byte = *escaped++;

		if (byte == '\\' && end - escaped >= 3 && escaped[0] >= '0' && escaped[0] <= '3') {
			byte = (char)((escaped[0] - '0') << 6 | (escaped[1] - '0') << 3 | (escaped[2] - '0'));
			escaped += 3;
		}
		if (*path++ != byte)
			return false;
	}
	return *path == '\0';
}

/* The end of the line's field `number`, counted from 1, and its beginning. */
static const char *find_field(const char *line, const char *line_end, unsigned number, const char **begin)
{
	const char *at = line;

	for (;;) {
		const char *end = memchr(at, ' ', (size_t)(line_end - at));

		if (!end)
			end = line_end;
		if (--number == 0) {
			*begin = at;
			return end;
		}
		if (end == line_end)
			return NULL;
		at = end + 1;
	}
}

/* The device number of what is mounted there; of several mounts on one another the last, which is on top. */
bool mountinfo_find(const char *text, const char *mountpoint, uint32_t *major, uint32_t *minor)
{
	bool found = false;

	while (*text != '\0') {
		const char *line_end = strchrnul(text, '\n'), *device, *path;
		const char *path_end = find_field(text, line_end, 5, &path);
		uint32_t numbers[2];

		if (path_end && path_equals(path, path_end, mountpoint) &&
		    find_field(text, line_end, 3, &device) &&
		    sscanf(device, "%u:%u", &numbers[0], &numbers[1]) == 2) {
			*major = numbers[0];
			*minor = numbers[1];
			found = true;
		}
		text = *line_end == '\0' ? line_end : line_end + 1;
	}
	return found;
}

bool mount_escape(char *into, size_t room, const char *text)
{
	size_t used = 0;

	for (; *text != '\0'; text++) {
		if (used + 2 >= room)
			return false;
		if (*text == ',' || *text == '\\')
			into[used++] = '\\';
		into[used++] = *text;
	}
	if (used >= room)
		return false;
	into[used] = '\0';
	return true;
}
