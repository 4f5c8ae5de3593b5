/* SPDX-License-Identifier: MIT
 *
 * The only place that spells memory orders. Both sides of the region use these verbs, the Swift half by import.
 *
 *   load_acquire    what the other side wrote before its release store is visible after this load
 *   store_release   everything written before it is visible to a thread that acquires the value
 *   cas             acquire and release at once: a state word changes hands here and nowhere else
 *   exchange        acquire and release at once: of several threads exactly one gets what lay there
 *   fence_full      a store before it and a load after it do not change places: "I park" against "there is work"
 *   load_relaxed, add_relaxed, store_relaxed   counters and hints; they vouch for nothing
 *
 * Fields are plain integers, for Swift imports no _Atomic; every access to a shared one goes through here.
 */
#ifndef FSMVP_BARRIER_H
#define FSMVP_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t fsmvp_load_acquire(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline uint32_t fsmvp_load_acquire32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void fsmvp_store_release(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void fsmvp_store_release32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint64_t fsmvp_load_relaxed(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint32_t fsmvp_load_relaxed32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void fsmvp_store_relaxed(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void fsmvp_store_relaxed32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void fsmvp_add_relaxed(uint64_t *word, uint64_t value)
{
	__atomic_fetch_add(word, value, __ATOMIC_RELAXED);
}

/* Release: the row the counter speaks of was changed before. */
static inline void fsmvp_add_release(uint64_t *word, uint64_t value)
{
	__atomic_fetch_add(word, value, __ATOMIC_RELEASE);
}

static inline void fsmvp_or_release(uint64_t *word, uint64_t bits)
{
	__atomic_fetch_or(word, bits, __ATOMIC_RELEASE);
}

static inline void fsmvp_or_release32(uint32_t *word, uint32_t bits)
{
	__atomic_fetch_or(word, bits, __ATOMIC_RELEASE);
}

static inline void fsmvp_max_relaxed(uint64_t *word, uint64_t value)
{
	uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

	while (value > seen &&
	       !__atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static inline void fsmvp_max_release32(uint32_t *word, uint32_t value)
{
	uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

	while (value > seen &&
	       !__atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static inline bool fsmvp_cas(uint64_t *word, uint64_t expected, uint64_t desired)
{
	return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline uint64_t fsmvp_exchange(uint64_t *word, uint64_t value)
{
	return __atomic_exchange_n(word, value, __ATOMIC_ACQ_REL);
}

static inline void fsmvp_fence_acquire(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void fsmvp_fence_release(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void fsmvp_fence_full(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
