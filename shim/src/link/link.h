/* SPDX-License-Identifier: MIT
 *
 * The link to the control plane: its hello, its frames, the orders that come over it, and the kernel's caches, which
 * the orders invalidate. struct invalidator is a member of struct shim; the link itself is link.c's alone. */
#ifndef FSMVP_LINK_H
#define FSMVP_LINK_H

#include "life/base.h"

#include <pthread.h>

/* hello.c */
/* Reads the hello of a fresh connection: true if the peer may be answered, `problem` 0 or a positive errno
 * with its sentence. */
bool hello_receive(int fd, int *problem, char message[SHIM_MESSAGE_MAX]);
bool hello_agrees(uint64_t features, uint64_t needs, const struct fsmvp_hello *theirs,
		  char message[SHIM_MESSAGE_MAX]);
int hello_refuse(int fd, int problem, const char *message);
int hello_welcome(struct shim *shim, int fd);
/* A failed start: tells the first control connection why, if one comes in time. */
void hello_wait_and_refuse(int listen_fd, int problem, const char *message);

/* link.c */
/* Makes all that the link needs of the system, without accepting anything yet. 0 or a negative errno. */
int link_prepare(struct shim *shim);
void link_run(void);

/* frame.c */
/* Length of the frame at the front of `bytes`, 0 if it is not whole yet, -EPROTO if it cannot be one. */
int frame_parse(const uint8_t *bytes, size_t length, struct fsmvp_frame *frame);

/* orders.c: what control orders. Link thread. */
/* True: a revocation waits for a reader; call orders_revoke_again until it is false. */
bool orders_obey(struct shim *shim, const struct fsmvp_frame *frame, const uint8_t *body,
		 uint64_t connection);
bool orders_revoke_again(struct shim *shim);

/* acknowledge.c */
/* Any thread: the order is done. */
void acknowledge(uint64_t number, uint64_t connection);
/* Link thread: the next one to send. False: there is none. */
bool acknowledge_take(uint64_t *number, uint64_t *connection);

/* invalidate.c */
struct invalidation {
	struct invalidation *next;
	uint64_t number;
	uint64_t connection; /* of the link it came over */
	uint64_t walk;	     /* the completion walk that had begun when it arrived */
	int64_t offset, length;
	uint32_t count; /* of nodes; 0: the order is about all names */
	uint64_t nodes[];
};
struct invalidator {
	pthread_mutex_t lock;
	pthread_cond_t wake; /* an order came, or a walk ended */
	struct invalidation *head, **tail;
	uint32_t waiting; /* for a walk to end */
	uint64_t walk_begun, walk_ended;
};
int invalidate_start(struct shim *shim);
/* Link thread: one of the three orders, with its body. */
void invalidate_order(struct shim *shim, const struct fsmvp_frame *frame, const uint8_t *body,
		      uint64_t connection);
void invalidate_walk_begins(struct invalidator *invalidator);
void invalidate_walk_ended(struct invalidator *invalidator);

#endif
