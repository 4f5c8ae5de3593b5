/* SPDX-License-Identifier: MIT
 *
 * The limits that the system sets this process: raised as far as they go, once, by the main thread before any other
 * exists. A limit that cannot be raised is no error; what it leaves is what the shim lives with.
 */
#include "life/base.h"

#include <sys/resource.h>

static void raise_limit(__rlimit_resource_t which)
{
	struct rlimit limit;

	if (getrlimit(which, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(which, &limit);
}

void limits_raise(void)
{
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_MEMLOCK);
	raise_limit(RLIMIT_NPROC);
}

uint32_t limits_lease_files(uint64_t descriptors)
{
	uint64_t left = descriptors > 2 * SHIM_FDS_KEPT ? descriptors - SHIM_FDS_KEPT : descriptors / 2;

	if (left > FSMVP_LEASES)
		return FSMVP_LEASES;
	return left < 1 ? 1 : (uint32_t)left;
}

uint64_t limits_descriptors(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}
