/* The parts of OpenSSL's libcrypto that Swift calls: HMAC, comparing secrets, and the store of certificates behind
 * `CertificateBundle`. Typed inlines without state. */
#pragma once
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

enum { CCRYPTO_SHA256_SIZE = 32 };

/* HMAC-SHA-256 of `count` bytes into `digest`, which holds CCRYPTO_SHA256_SIZE; false where the library cannot. */
static inline bool ccrypto_hmac_sha256(const void *key, int key_size, const void *bytes, size_t count,
				       unsigned char *digest)
{
	unsigned int size = 0;

	return HMAC(EVP_sha256(), key, key_size, bytes, count, digest, &size) && size == CCRYPTO_SHA256_SIZE;
}

/* Whether both are the same; takes as long for any two of that length. */
static inline bool ccrypto_equal(const void *one, const void *other, size_t count)
{
	return CRYPTO_memcmp(one, other, count) == 0;
}

/* A store of certificates to verify servers by; NULL where memory lacks. `folder`: looked into by a certificate's hash
 * for those that are not in the store, which keeps what it finds; NULL for none. The flags are those that libcurl sets
 * on stores of its own. */
static inline X509_STORE *ccrypto_store_new(const char *folder)
{
	X509_STORE *store = X509_STORE_new();
	X509_LOOKUP *lookup;

	if (!store)
		return NULL;
	X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	lookup = folder ? X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir()) : NULL;
	if (lookup)
		X509_LOOKUP_add_dir(lookup, folder, X509_FILETYPE_PEM);
	ERR_clear_error();
	return store;
}

/* Adds a PEM bundle, read by the function that libcurl reads one with. Returns how many certificates it holds; -1 where
 * it cannot be read to its end. */
static inline int ccrypto_store_add(X509_STORE *store, const void *pem, int size)
{
	BIO *source = BIO_new_mem_buf(pem, size);
	STACK_OF(X509_INFO) *found = source ? PEM_X509_INFO_read_bio(source, NULL, NULL, NULL) : NULL;
	int count = found ? 0 : -1;

	for (int index = 0; found && index < sk_X509_INFO_num(found); index++) {
		const X509_INFO *one = sk_X509_INFO_value(found, index);

		if (one->x509 && X509_STORE_add_cert(store, one->x509))
			count++;
		if (one->crl)
			X509_STORE_add_crl(store, one->crl);
	}
	sk_X509_INFO_pop_free(found, X509_INFO_free);
	BIO_free(source);
	ERR_clear_error();
	return count;
}

static inline void ccrypto_store_free(X509_STORE *store)
{
	X509_STORE_free(store);
}

/* The connections of `context`, an SSL_CTX, verify by the store; it is shared, not copied. */
static inline void ccrypto_store_use(X509_STORE *store, void *context)
{
	SSL_CTX_set1_cert_store((SSL_CTX *)context, store);
}
