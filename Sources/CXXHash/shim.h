#pragma once
#include <xxhash.h>

/* XXH3, 64 bit: fast enough to go over every byte fetched, and the same in every release of the library. */
static inline uint64_t cxxhash(const void *bytes, size_t count, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, count, seed);
}
