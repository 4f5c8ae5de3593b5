/* SPDX-License-Identifier: MIT
 *
 * Log lines. Any thread writes one into a bounded queue; the link thread sends them to control, or prints
 * them when there is no link. A full queue drops lines and says how many. A writer holds a mutex for the copy
 * of one line and waits for nothing else.
 */
#include "shim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINES 64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_line lines[LINES]; /* by lock, as the next three */
static uint32_t first, count;
static uint64_t dropped;
static void (*wake_reader)(void);
static uint32_t highest = LOG_NOTICE;

void log_set_level(uint32_t level)
{
	fsmvp_store_relaxed32(&highest, level);
}

void log_queue(void (*wake)(void))
{
	pthread_mutex_lock(&lock);
	wake_reader = wake;
	pthread_mutex_unlock(&lock);
}

bool log_take(struct log_line *line)
{
	bool some = true;

	pthread_mutex_lock(&lock);
	if (count > 0) {
		*line = lines[first];
		first = (first + 1) % LINES;
		count--;
	} else if (dropped > 0) {
		line->level = LOG_WARNING;
		line->length = (uint32_t)snprintf(line->text, sizeof(line->text),
						  "%llu log lines were dropped, the queue was full",
						  (unsigned long long)dropped);
		dropped = 0;
	} else {
		some = false;
	}
	pthread_mutex_unlock(&lock);
	return some;
}

void log_print(const struct log_line *line)
{
	char text[sizeof(line->text) + 32];
	int length = snprintf(text, sizeof(text), "fsmvp-shim: %.*s\n", (int)line->length, line->text);

	/* Where stderr is gone there is nobody to tell. */
	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		return;
}

void log_write(uint32_t level, const char *format, ...)
{
	struct log_line line = {.level = level};
	void (*wake)(void);
	va_list arguments;
	int length;

	if (level > fsmvp_load_relaxed32(&highest))
		return;
	va_start(arguments, format);
	length = vsnprintf(line.text, sizeof(line.text), format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	line.length =
	    (uint32_t)length < sizeof(line.text) ? (uint32_t)length : (uint32_t)sizeof(line.text) - 1;
	while (line.length > 0 && line.text[line.length - 1] == '\n')
		line.length--;

	pthread_mutex_lock(&lock);
	wake = wake_reader;
	if (wake && count < LINES)
		lines[(first + count++) % LINES] = line;
	else if (wake)
		dropped++;
	pthread_mutex_unlock(&lock);
	if (wake)
		wake();
	else
		log_print(&line);
}
