/* SPDX-License-Identifier: MIT
 *
 * The request that a worker has in hand, while libfuse calls a handler for it, until it is answered or handed on.
 * Workers, each with its own; a successor's main thread, for the requests that it adopts. Waits for nothing. */
#include "request/request.h"
#include "life/base.h"
#include "shim.h"

_Thread_local struct request current;

void answered_inline(struct shim *shim, uint32_t op)
{
	KILL_POINT("inline.replied");
	fsmvp_store_release32(current.in_hand, 0);
	trace_answered(&shim->region);
	KILL_POINT("inline.cleared");
	trace_time(&shim->region, op, FSMVP_SEGMENT_LOCAL, current.taken_at, fsmvp_now());
}
