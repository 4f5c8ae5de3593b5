/* SPDX-License-Identifier: MIT
 *
 * Control's orders and their acknowledgements. The link thread obeys and sends; the invalidator acknowledges
 * too, by a queue under a mutex that is held for two stores. Waits for nothing.
 */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct item {
	struct item *next;
	uint64_t number;
	uint64_t connection; /* an old link's acknowledgement does not go to a new one */
	uint64_t lease;	     /* of a revocation */
};

static struct item *revoked; /* the link thread's alone */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct item *acknowledged, **acknowledged_tail = &acknowledged; /* by lock */

void orders_acknowledge(uint64_t number, uint64_t connection)
{
	struct item *item = malloc(sizeof(*item));

	if (!item)
		return; /* control asks again over the next link */
	*item = (struct item){.number = number, .connection = connection};
	pthread_mutex_lock(&lock);
	*acknowledged_tail = item;
	acknowledged_tail = &item->next;
	pthread_mutex_unlock(&lock);
	link_wake();
}

bool orders_take_acknowledged(uint64_t *number, uint64_t *connection)
{
	struct item *item;

	pthread_mutex_lock(&lock);
	item = acknowledged;
	if (item)
		acknowledged = item->next;
	if (!acknowledged)
		acknowledged_tail = &acknowledged;
	pthread_mutex_unlock(&lock);
	if (!item)
		return false;
	*number = item->number;
	*connection = item->connection;
	free(item);
	return true;
}

/* Closes what may be closed now. A descriptor that a read uses is closed by that read, and acknowledged when
 * it is gone. */
bool orders_revoke_again(struct shim *shim)
{
	struct item **at = &revoked;

	while (*at) {
		struct item *item = *at;

		if (!lease_file_revoke(&shim->leases, item->lease)) {
			at = &item->next;
			continue;
		}
		*at = item->next;
		KILL_POINT("lease.revoked");
		orders_acknowledge(item->number, item->connection);
		free(item);
	}
	return revoked != NULL;
}

static bool drop(struct shim *shim, uint64_t lease, uint64_t number, uint64_t connection)
{
	struct item *item;

	if (fsmvp_low(lease) >= FSMVP_LEASES) {
		HOSTILE(&shim->region, "a revoked lease");
		return false;
	}
	item = malloc(sizeof(*item));
	if (!item) {
		link_distrust(); /* control asks again over the next link */
		return false;
	}
	*item = (struct item){.next = revoked, .number = number, .connection = connection, .lease = lease};
	revoked = item;
	return orders_revoke_again(shim);
}

bool orders_obey(struct shim *shim, const struct fsmvp_frame *frame, const uint8_t *body, uint64_t connection)
{
	struct fsmvp_invalidate what;
	uint64_t lease;
	uint32_t level;

	switch (frame->type) {
	case FSMVP_FRAME_INVALIDATE:
		memcpy(&what, body, sizeof(what));
		invalidate_order(shim, &what, frame->number, connection);
		return false;
	case FSMVP_FRAME_REVOKED:
		memcpy(&lease, body, sizeof(lease));
		return drop(shim, lease, frame->number, connection);
	case FSMVP_FRAME_DRAIN:
		drain_start(shim);
		return false;
	case FSMVP_FRAME_LOG_LEVEL:
		memcpy(&level, body, sizeof(level));
		log_set_level(level);
		return false;
	default: /* QUIT: the mount is gone or going */
		_exit(0);
	}
}
