/* SPDX-License-Identifier: MIT
 *
 * Control's orders, and the revocations that wait for a reader. The link thread; waits for nothing. The list of
 * revocations is that thread's alone.
 */
#include "link/link.h"
#include "bytes/bytes.h"
#include "life/base.h"
#include "life/life.h"
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct revocation {
	struct revocation *next;
	uint64_t number;
	uint64_t connection; /* of the link it came over */
	uint64_t lease;
};

static struct revocation *revoked;

/* Closes what may be closed now. A descriptor that a read uses is closed by that read, and acknowledged when
 * it is gone. */
bool orders_revoke_again(struct shim *shim)
{
	struct revocation **at = &revoked;

	while (*at) {
		struct revocation *item = *at;

		if (!lease_file_revoke(&shim->leases, item->lease)) {
			at = &item->next;
			continue;
		}
		*at = item->next;
		KILL_POINT("lease.revoked");
		acknowledge(item->number, item->connection);
		free(item);
	}
	return revoked != NULL;
}

static bool drop(struct shim *shim, uint64_t lease, uint64_t number, uint64_t connection)
{
	struct revocation *item;

	if (fsmvp_low(lease) >= FSMVP_LEASES) {
		HOSTILE(&shim->region, "a revoked lease");
		return false;
	}
	item = malloc(sizeof(*item));
	if (!item) {
		link_distrust(); /* control asks again over the next link */
		return false;
	}
	*item =
	    (struct revocation){.next = revoked, .number = number, .connection = connection, .lease = lease};
	revoked = item;
	return orders_revoke_again(shim);
}

bool orders_obey(struct shim *shim, const struct fsmvp_frame *frame, const uint8_t *body, uint64_t connection)
{
	uint64_t lease;
	uint32_t level;

	switch (frame->type) {
	case FSMVP_FRAME_INVALIDATE:
	case FSMVP_FRAME_INVALIDATE_NODES:
	case FSMVP_FRAME_INVALIDATE_NAMES:
		invalidate_order(shim, frame, body, connection);
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
