/* SPDX-License-Identifier: MIT
 *
 * Implements faults.h. Any thread may call it; it takes no lock and waits for nothing.
 */
#define FSMVP_FAULTS_THEMSELVES
#include "faults.h"

static struct fsmvp_fault *armed;

__attribute__((constructor)) static void open_file(void)
{
	const char *path = getenv("FSMVP_FAULT_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd < 0)
		return;
	mapped = mmap(NULL, sizeof(*armed), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	armed = mapped == MAP_FAILED ? NULL : mapped;
}

int fsmvp_fault(const char *site)
{
	uint64_t left = armed ? __atomic_load_n(&armed->left, __ATOMIC_ACQUIRE) : 0;

	if (left == 0 || strncmp(armed->site, site, sizeof(armed->site)) != 0)
		return 0;
	do {
		if (left == 0)
			return 0;
	} while (!__atomic_compare_exchange_n(&armed->left, &left, left - 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	__atomic_fetch_add(&armed->fired, 1, __ATOMIC_ACQ_REL);
	return errno = (int)armed->error;
}
