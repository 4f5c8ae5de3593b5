/* SPDX-License-Identifier: MIT
 *
 * Acknowledgements of control's orders, on their way to the link. The link thread and the invalidator acknowledge, the
 * link thread sends. A queue under a mutex that is held for two stores; waits for nothing else. */
#include "link/link.h"
#include "life/base.h"

#include <pthread.h>
#include <stdlib.h>

struct acknowledgement {
	struct acknowledgement *next;
	uint64_t number;
	uint64_t connection; /* an old link's acknowledgement does not go to a new one */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct acknowledgement *head, **tail = &head; /* by lock */

void acknowledge(uint64_t number, uint64_t connection)
{
	struct acknowledgement *item = malloc(sizeof(*item));

	if (!item) {
		link_distrust(); /* control asks again over the next link */
		return;
	}
	*item = (struct acknowledgement){.number = number, .connection = connection};
	pthread_mutex_lock(&lock);
	*tail = item;
	tail = &item->next;
	pthread_mutex_unlock(&lock);
	link_wake();
}

bool acknowledge_take(uint64_t *number, uint64_t *connection)
{
	struct acknowledgement *item;

	pthread_mutex_lock(&lock);
	item = head;
	if (item)
		head = item->next;
	if (!head)
		tail = &head;
	pthread_mutex_unlock(&lock);
	if (!item)
		return false;
	*number = item->number;
	*connection = item->connection;
	free(item);
	return true;
}
