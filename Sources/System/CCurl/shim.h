#pragma once
// libcurl for Swift: the variadic setters, one typed inline function for each C type an option takes (Swift does not
// import variadics).
#include <curl/curl.h>
#include <malloc.h>

static inline CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value)
{
	return (curl_easy_setopt)(easy, option, value);
}

/// Copied by libcurl.
static inline CURLcode ccurl_set_string(CURL *easy, CURLoption option, const char *value)
{
	return (curl_easy_setopt)(easy, option, value);
}

/// Not copied: the list must live as long as the transfer.
static inline CURLcode ccurl_set_headers(CURL *easy, struct curl_slist *list)
{
	return (curl_easy_setopt)(easy, CURLOPT_HTTPHEADER, list);
}

/// Copied by libcurl.
static inline CURLcode ccurl_set_form(CURL *easy, const char *bytes, curl_off_t count)
{
	CURLcode code = (curl_easy_setopt)(easy, CURLOPT_POSTFIELDSIZE_LARGE, count);
	return code != CURLE_OK ? code : (curl_easy_setopt)(easy, CURLOPT_COPYPOSTFIELDS, bytes);
}

/// The bundle and the folder of certificates that libcurl was built to use; NULL for none.
static inline const char *ccurl_certificate_file(void)
{
	return curl_version_info(CURLVERSION_NOW)->cainfo;
}
static inline const char *ccurl_certificate_folder(void)
{
	return curl_version_info(CURLVERSION_NOW)->capath;
}

/// libcurl reads no certificates of its own, neither for servers nor for proxies: the handshake callback gives each
/// connection its store.
static inline CURLcode ccurl_set_no_certificates(CURL *easy)
{
	CURLcode code = (curl_easy_setopt)(easy, CURLOPT_CAINFO, NULL);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_CAPATH, NULL);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_PROXY_CAINFO, NULL);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_PROXY_CAPATH, NULL);
	return code;
}

/// `handshake` is called when a connection stands and TLS is about to begin on it; it is to return CURLE_OK.
static inline CURLcode ccurl_set_handshake_callback(CURL *easy, curl_ssl_ctx_callback handshake,
						    void *context)
{
	CURLcode code = (curl_easy_setopt)(easy, CURLOPT_SSL_CTX_FUNCTION, handshake);
	return code != CURLE_OK ? code : (curl_easy_setopt)(easy, CURLOPT_SSL_CTX_DATA, context);
}

/// `buffer` holds CURL_ERROR_SIZE bytes and must live as long as the transfer.
static inline CURLcode ccurl_set_error_buffer(CURL *easy, char *buffer)
{
	return (curl_easy_setopt)(easy, CURLOPT_ERRORBUFFER, buffer);
}

/// The three callbacks of a transfer, all with the same context.
static inline CURLcode ccurl_set_callbacks(CURL *easy, curl_write_callback head, curl_write_callback body,
					   curl_prereq_callback request, void *context)
{
	CURLcode code = (curl_easy_setopt)(easy, CURLOPT_HEADERFUNCTION, head);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_HEADERDATA, context);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_WRITEFUNCTION, body);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_WRITEDATA, context);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_PREREQFUNCTION, request);
	if (code == CURLE_OK)
		code = (curl_easy_setopt)(easy, CURLOPT_PREREQDATA, context);
	return code;
}

static inline CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value)
{
	return (curl_multi_setopt)(multi, option, value);
}

static inline CURLMcode ccurl_multi_set_callbacks(CURLM *multi, curl_socket_callback socket,
						  curl_multi_timer_callback timer, void *context)
{
	CURLMcode code = (curl_multi_setopt)(multi, CURLMOPT_SOCKETFUNCTION, socket);
	if (code == CURLM_OK)
		code = (curl_multi_setopt)(multi, CURLMOPT_SOCKETDATA, context);
	if (code == CURLM_OK)
		code = (curl_multi_setopt)(multi, CURLMOPT_TIMERFUNCTION, timer);
	if (code == CURLM_OK)
		code = (curl_multi_setopt)(multi, CURLMOPT_TIMERDATA, context);
	return code;
}

/// CURL_SOCKET_TIMEOUT, whose macro is a cast that Swift does not import.
static inline curl_socket_t ccurl_socket_timeout(void)
{
	return CURL_SOCKET_TIMEOUT;
}

/// Results of a write callback: offer the same bytes again later, and fail the transfer.
static inline size_t ccurl_pause(void)
{
	return CURL_WRITEFUNC_PAUSE;
}
static inline size_t ccurl_fail(void)
{
	return CURL_WRITEFUNC_ERROR;
}

/// Gives free memory back to the kernel.
static inline void ccurl_return_memory(void)
{
	malloc_trim(0);
}

/// The next finished transfer; false where there is none.
static inline _Bool ccurl_next_finished(CURLM *multi, CURL **easy, CURLcode *code)
{
	int left;
	for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
		if (message->msg != CURLMSG_DONE)
			continue;
		*easy = message->easy_handle;
		*code = message->data.result;
		return 1;
	}
	return 0;
}
