/* SPDX-License-Identifier: MIT
 *
 * Frames of the link, as they lie in a buffer of received bytes. A pure function of the link thread.
 */
#include "link/link.h"

#include <errno.h>
#include <string.h>

#define NODES (-2) /* a body of node numbers, as many as there are */

/* The body each order has; -1: not an order that control may give. */
static int body_of(uint32_t type)
{
	switch (type) {
	case FSMVP_FRAME_INVALIDATE:
		return (int)sizeof(struct fsmvp_invalidate);
	case FSMVP_FRAME_REVOKED:
		return (int)sizeof(uint64_t);
	case FSMVP_FRAME_INVALIDATE_NODES:
		return NODES;
	case FSMVP_FRAME_INVALIDATE_NAMES:
	case FSMVP_FRAME_QUIT:
	case FSMVP_FRAME_DRAIN:
		return 0;
	case FSMVP_FRAME_LOG_LEVEL:
		return (int)sizeof(uint32_t);
	default:
		return -1;
	}
}

int frame_parse(const uint8_t *bytes, size_t length, struct fsmvp_frame *frame)
{
	int body;

	if (length < sizeof(*frame))
		return 0;
	memcpy(frame, bytes, sizeof(*frame));
	body = body_of(frame->type);
	if (body == NODES && frame->length > sizeof(*frame) && frame->length <= FSMVP_FRAME_MAX &&
	    frame->length % sizeof(uint64_t) == 0)
		body = (int)(frame->length - sizeof(*frame));
	if (body < 0 || frame->length != sizeof(*frame) + (size_t)body)
		return -EPROTO;
	return length < frame->length ? 0 : (int)frame->length;
}
