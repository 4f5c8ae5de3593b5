#pragma once
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

/* What is given back to gnutls_free(), which Swift sees as a mutable global. */
static inline void cgnutls_free(void *allocated)
{
	gnutls_free(allocated);
}
