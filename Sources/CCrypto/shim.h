#pragma once
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>

enum { CCRYPTO_SHA256_SIZE = 32 };

/* HMAC-SHA-256 of `count` bytes into `digest`, which holds CCRYPTO_SHA256_SIZE; false where the library cannot. */
static inline bool ccrypto_hmac_sha256(const void *key, int key_size, const void *bytes, size_t count, unsigned char *digest)
{
	unsigned int size = 0;

	return HMAC(EVP_sha256(), key, key_size, bytes, count, digest, &size) && size == CCRYPTO_SHA256_SIZE;
}

/* Whether both are the same; takes as long for any two of that length. */
static inline bool ccrypto_equal(const void *one, const void *other, size_t count)
{
	return CRYPTO_memcmp(one, other, count) == 0;
}

/* How many certificates a PEM bundle holds, read by the function that libcurl reads one with; -1 where it cannot be read to its end. */
static inline int ccrypto_count_certificates(const void *pem, int size)
{
	BIO *source = BIO_new_mem_buf(pem, size);
	STACK_OF(X509_INFO) *found = source ? PEM_X509_INFO_read_bio(source, NULL, NULL, NULL) : NULL;
	int count = found ? 0 : -1;

	for (int index = 0; found && index < sk_X509_INFO_num(found); index++)
		count += sk_X509_INFO_value(found, index)->x509 != NULL;
	sk_X509_INFO_pop_free(found, X509_INFO_free);
	BIO_free(source);
	ERR_clear_error();
	return count;
}
