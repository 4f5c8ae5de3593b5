/* SPDX-License-Identifier: MIT
 *
 * The start of threads. Any thread that starts another one; waits for nothing. Nothing is kept here.
 */
#include "life/base.h"

#include <pthread.h>
#include <string.h>

int thread_start(const char *name, void *(*body)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SHIM_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, body, argument);
	pthread_attr_destroy(&attributes);
	if (error) {
		log_write(LOG_ERROR, "cannot start thread %s: %s", name, strerror(error));
		return -error;
	}
	pthread_setname_np(thread, name);
	return 0;
}
