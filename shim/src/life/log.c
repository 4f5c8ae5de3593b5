/* SPDX-License-Identifier: MIT
 *
 * Log lines. Any thread writes one into a bounded queue, and waits for nothing but the copy of a line under a mutex.
 * Over a link the link thread sends them; without one they go to standard error, by a thread that is started for them
 * and ends when there are none: standard error may be a full pipe or a stopped terminal, which other processes share,
 * so its writer may block for ever and nothing waits for it. A full queue drops lines and says how many. */
#include "life/base.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define LINES	128u
#define LAST_MS 300 /* for the last lines of a process that ends by itself */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_line lines[LINES]; /* by lock, as the next four */
static uint32_t first, count;
static uint64_t dropped;
static void (*wake_link)(void); /* NULL: there is no link */
static bool writing;		/* the thread for standard error is there */
static uint32_t highest = LOG_NOTICE;
static int last_status;

void log_set_level(uint32_t level)
{
	fsmvp_store_relaxed32(&highest, level);
}

/* Under the lock. */
static bool take(struct log_line *line)
{
	if (count > 0) {
		*line = lines[first];
		first = (first + 1) % LINES;
		count--;
		return true;
	}
	if (dropped == 0)
		return false;
	line->level = LOG_WARNING;
	line->length = (uint32_t)snprintf(line->text, sizeof(line->text),
					  "%llu log lines were dropped, the queue was full",
					  (unsigned long long)dropped);
	dropped = 0;
	return true;
}

bool log_take(struct log_line *line)
{
	bool some;

	pthread_mutex_lock(&lock);
	some = take(line);
	pthread_mutex_unlock(&lock);
	return some;
}

/* May block. */
static void print(const struct log_line *line)
{
	char text[sizeof(line->text) + 32];
	int length = snprintf(text, sizeof(text), "fsmvp-shim: %.*s\n", (int)line->length, line->text);
	ssize_t written;

	for (int at = 0; at < length; at += (int)written) {
		written = write(STDERR_FILENO, text + at, (size_t)(length - at));
		if (written < 0 && errno == EAGAIN) {
			/* The description may be shared with a program that made it non-blocking. */
			struct pollfd watched = {.fd = STDERR_FILENO, .events = POLLOUT};

			poll(&watched, 1, 1000);
			errno = EINTR;
		}
		if (written < 0 && errno == EINTR)
			written = 0;
		if (written < 0)
			return; /* closed, or its reader is gone: there is nothing to tell it to */
	}
}

static void *writer_thread(void *argument)
{
	struct log_line line;

	(void)argument;
	pthread_mutex_lock(&lock);
	while (!wake_link && take(&line)) {
		pthread_mutex_unlock(&lock);
		print(&line);
		pthread_mutex_lock(&lock);
	}
	writing = false;
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Not by thread_start, which logs. If it cannot be started, the lines wait for the next one, or for a link. */
static void start_writer(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SHIM_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, writer_thread, NULL);
	pthread_attr_destroy(&attributes);
	if (!error)
		return;
	pthread_mutex_lock(&lock);
	writing = false;
	pthread_mutex_unlock(&lock);
}

void log_link(void (*wake)(void))
{
	bool start;

	pthread_mutex_lock(&lock);
	wake_link = wake;
	start = !wake && !writing && (count > 0 || dropped > 0);
	writing |= start;
	pthread_mutex_unlock(&lock);
	if (start)
		start_writer();
}

void log_write(uint32_t level, const char *format, ...)
{
	struct log_line line = {.level = level};
	void (*wake)(void);
	va_list arguments;
	bool start;
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
	wake = wake_link;
	if (count < LINES)
		lines[(first + count++) % LINES] = line;
	else
		dropped++;
	start = !wake && !writing;
	writing |= start;
	pthread_mutex_unlock(&lock);
	if (wake)
		wake();
	else if (start)
		start_writer();
}

static void end_now(int signal)
{
	(void)signal;
	_exit(last_status);
}

/* The lines may be all that is known of a failed start, so they get a moment, and a blocked standard error no more than
 * that: the timer's signal ends the process from within the write. */
void log_end(int status)
{
	struct sigaction action = {.sa_handler = end_now};
	struct itimerval limit = {.it_value = {.tv_usec = LAST_MS * 1000}};
	struct log_line line;
	bool busy = true;
	sigset_t set;

	last_status = status;
	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (setitimer(ITIMER_REAL, &limit, NULL) != 0)
		_exit(status);
	while (log_take(&line))
		print(&line);
	while (busy) {
		pthread_mutex_lock(&lock);
		busy = writing;
		pthread_mutex_unlock(&lock);
		usleep(500);
	}
	_exit(status);
}
