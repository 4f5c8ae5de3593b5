/* SPDX-License-Identifier: MIT
 *
 * The command line. A pure function of the main thread. Control writes it, so it is plain: each option is a
 * word and its value.
 */
#include "life/base.h"
#include "life/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool number(const char *text, uint32_t low, uint32_t high, uint32_t *out)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < low || value > high)
		return false;
	*out = (uint32_t)value;
	return true;
}

static int *descriptor_named(struct options *options, const char *name)
{
	return strcmp(name, "--listen") == 0	     ? &options->listen_fd
	       : strcmp(name, "--fuse") == 0	     ? &options->fuse_fd
	       : strcmp(name, "--region") == 0	     ? &options->region_fd
	       : strcmp(name, "--shim-bell") == 0    ? &options->shim_bell
	       : strcmp(name, "--control-bell") == 0 ? &options->control_bell
						     : NULL;
}

static bool take_value(struct options *options, const char *name, const char *value)
{
	uint32_t fd;
	int *slot;

	if (strcmp(name, "--mountpoint") == 0) {
		options->mountpoint = value;
		return value[0] == '/' && strlen(value) < FSMVP_MOUNTPOINT_MAX;
	}
	if (strcmp(name, "--fsname") == 0) {
		options->fsname = value;
		return value[0] != '\0';
	}
	if (strcmp(name, "--subtype") == 0) {
		options->subtype = value;
		return value[0] != '\0';
	}
	if (strcmp(name, "--workers") == 0)
		return number(value, 1, FSMVP_WORKERS_MAX, &options->workers);
	if (strcmp(name, "--read-ahead") == 0)
		return number(value, 4, 1024, &options->read_ahead_kib);
	if (strcmp(name, "--log-level") == 0)
		return number(value, LOG_ERROR, LOG_DEBUG, &options->log_level);
	if (strcmp(name, "--shim-timeout") == 0)
		return number(value, 1, UINT32_MAX, &options->shim_timeout_ms);
	if (strcmp(name, "--orphan-timeout") == 0)
		return number(value, 1, UINT32_MAX, &options->orphan_timeout_ms);
	if (!number(value, 3, INT32_MAX, &fd))
		return false;
	slot = descriptor_named(options, name);
	if (slot) {
		*slot = (int)fd;
		return true;
	}
	if (options->root_count == SHIM_ROOTS_MAX)
		return false;
	options->roots[options->root_count++] = (int)fd;
	return true;
}

static bool has_value(const char *name)
{
	static const char *const names[] = {
	    "--mountpoint", "--fsname",	      "--subtype",	  "--workers",	   "--read-ahead",
	    "--log-level",  "--shim-timeout", "--orphan-timeout", "--listen",	   "--root",
	    "--fuse",	    "--region",	      "--shim-bell",	  "--control-bell"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

int options_parse(struct options *options, int argc, char **argv, char message[SHIM_MESSAGE_MAX])
{
	*options = (struct options){
	    .fsname = "fsmvp",
	    .subtype = "fsmvp",
	    .listen_fd = -1,
	    .fuse_fd = -1,
	    .region_fd = -1,
	    .shim_bell = -1,
	    .control_bell = -1,
	    .shim_timeout_ms = 5000,
	    .orphan_timeout_ms = 600000,
	    .workers = 2,
	    .read_ahead_kib = 1024,
	    .log_level = LOG_NOTICE,
	};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			options->help = true;
			return 0;
		}
		if (strcmp(argv[i], "--abi") == 0) {
			options->abi = true;
			return 0;
		}
		if (strcmp(argv[i], "--read-only") == 0) {
			options->read_only = true;
		} else if (strcmp(argv[i], "--allow-other") == 0) {
			options->allow_other = true;
		} else if (strcmp(argv[i], "--xattr") == 0) {
			options->xattr = true;
		} else if (strcmp(argv[i], "--successor") == 0) {
			options->successor = true;
		} else if (!has_value(argv[i])) {
			snprintf(message, SHIM_MESSAGE_MAX, "unknown option %s", argv[i]);
			return -EINVAL;
		} else if (i + 1 == argc || !take_value(options, argv[i], argv[i + 1])) {
			snprintf(message, SHIM_MESSAGE_MAX, "%s needs another value than %s", argv[i],
				 i + 1 == argc ? "none" : argv[i + 1]);
			return -EINVAL;
		} else {
			i++;
		}
	}
	if (!options->mountpoint || options->listen_fd < 0) {
		snprintf(message, SHIM_MESSAGE_MAX, "--mountpoint and --listen are needed");
		return -EINVAL;
	}
	if (options->successor && (options->fuse_fd < 0 || options->region_fd < 0 || options->shim_bell < 0 ||
				   options->control_bell < 0)) {
		snprintf(message, SHIM_MESSAGE_MAX,
			 "--successor needs --fuse, --region, --shim-bell and --control-bell");
		return -EINVAL;
	}
	return 0;
}
