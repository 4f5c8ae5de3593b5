/* SPDX-License-Identifier: MIT
 *
 * Figures in the region: histograms, and the count of control's impossible values. Every thread; waits for
 * nothing.
 */
#include "life/base.h"

void trace_time(const struct region *region, uint32_t op, uint32_t segment, uint64_t from, uint64_t to)
{
	/* Half of these times are control's word: a time that ran backwards is no time. */
	if (op >= FSMVP_OP_COUNT || segment >= FSMVP_SEGMENT_COUNT || from == 0 || from > to)
		return;
	fsmvp_histogram_add(&region->histograms[op * FSMVP_SEGMENT_COUNT + segment], to - from);
}

void trace_hostile(const struct region *region, uint64_t *said, bool ends_link, const char *what)
{
	fsmvp_add_relaxed(&region->header->count_hostile, 1);
	if (fsmvp_exchange(said, 1) == 0)
		log_write(LOG_ERROR, "the region says what cannot be: %s%s", what,
			  ends_link ? "; the control plane's link is closed" : "");
	if (ends_link)
		link_distrust();
}
