/* SPDX-License-Identifier: MIT
 *
 * The region: one sealed memfd, its sections' addresses, its receive buffers made resident. Runs on the main
 * thread before any other exists; waits for nothing. The mapping stays until the process ends.
 */
#include "life/base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int region_bind(struct region *region, void *base, uint64_t size)
{
	struct fsmvp_header *header = base;
	const struct fsmvp_section *sections = header->sections;
	uint8_t *bytes = base;
	int error = fsmvp_region_check(header, size);

	if (error)
		return error;
	*region = (struct region){
	    .base = bytes,
	    .size = size,
	    .header = header,
	    .receive = bytes + sections[FSMVP_SECTION_RECEIVE].offset,
	    .words = (uint64_t *)(void *)(bytes + sections[FSMVP_SECTION_WORDS].offset),
	    .slots = (struct fsmvp_slot *)(void *)(bytes + sections[FSMVP_SECTION_SLOTS].offset),
	    .payload = bytes + sections[FSMVP_SECTION_PAYLOAD].offset,
	    .handles = (struct fsmvp_handle *)(void *)(bytes + sections[FSMVP_SECTION_HANDLES].offset),
	    .leases = (struct fsmvp_lease *)(void *)(bytes + sections[FSMVP_SECTION_LEASES].offset),
	    .maps = (uint64_t *)(void *)(bytes + sections[FSMVP_SECTION_MAPS].offset),
	    .histograms =
		(struct fsmvp_histogram *)(void *)(bytes + sections[FSMVP_SECTION_HISTOGRAMS].offset),
	    .frames = (uint64_t *)(void *)(bytes + sections[FSMVP_SECTION_FRAMES].offset),
	    .waiting = (struct fsmvp_waiting *)(void *)(bytes + sections[FSMVP_SECTION_WAITING].offset),
	    .listings = bytes + sections[FSMVP_SECTION_LISTINGS].offset,
	};
	return 0;
}

static int map(int fd, uint64_t size, void **base)
{
	*base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*base == MAP_FAILED)
		return -errno;
	/* A huge page for the first touched byte would be 2 MiB of the 8 that the shim may have. */
	madvise(*base, size, MADV_NOHUGEPAGE);
	return 0;
}

int region_map(struct region *region, int fd)
{
	struct stat status;
	uint64_t size;
	void *base;
	int error;

	/* Sealed, so the size stays. A newer shim may have made it larger. */
	if (fstat(fd, &status) != 0)
		return -errno;
	size = (uint64_t)status.st_size;
	if (size < FSMVP_HEADER_SIZE)
		return -EPROTO;
	error = map(fd, size, &base);
	if (error)
		return error;
	error = region_bind(region, base, size);
	if (error)
		munmap(base, size);
	return error;
}

int region_create(struct region *region, int *fd)
{
	uint64_t size = fsmvp_region_format(NULL);
	void *base;
	int error;
	int memory = memfd_create("fsmvp-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (memory < 0)
		return -errno;
	if (ftruncate(memory, (off_t)size) != 0 ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		error = -errno;
		goto out_close;
	}
	error = map(memory, size, &base);
	if (error)
		goto out_close;
	fsmvp_region_format(base);
	error = region_bind(region, base, size);
	if (error)
		goto out_unmap;
	*fd = memory;
	return 0;
out_unmap:
	munmap(base, size);
out_close:
	close(memory);
	return error;
}

/* The kernel writes requests here, and a page fault in the middle of that would lose one. */
void region_lock_receive(const struct region *region, uint32_t workers, bool fresh)
{
	size_t length = (size_t)workers * FSMVP_RECEIVE_SIZE;

	if (fresh)
		memset(region->receive, 0, length);
	if (mlock(region->receive, length) != 0)
		log_write(LOG_WARNING,
			  "cannot lock %zu bytes of receive buffers: %s; raise the memlock limit", length,
			  strerror(errno));
}
