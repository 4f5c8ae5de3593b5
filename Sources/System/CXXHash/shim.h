/* xxHash for the sums of bytes in the module Store: a pure function. */
#pragma once
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

/* XXH3, 64 bit: fast enough to go over every byte fetched, and the same in every release of the library. On x86 as the
 * processor at hand does it best, a quarter of the time of what every such processor can do; the header redirects the
 * name. */
static inline uint64_t cxxhash(const void *bytes, size_t count, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, count, seed);
}
