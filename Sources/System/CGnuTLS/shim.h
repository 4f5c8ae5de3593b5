/* GnuTLS for MediaHubSim: the signatures of URLs, and junk on the TLS connections of libmicrohttpd. Nothing is kept
 * here. */
#pragma once
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

/* Frees memory that GnuTLS allocated. Swift sees gnutls_free() as a mutable global and may not call it. */
static inline void cgnutls_free(void *allocated)
{
	gnutls_free(allocated);
}
