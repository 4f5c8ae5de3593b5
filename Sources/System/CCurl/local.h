#pragma once
#include <curl/curl.h>

/* Requests to a Unix socket: all that a client of the control API sets. Strings and the body are copied by libcurl. */
struct ccurl_local_request {
	const char *socket;
	const char *url; /* http://localhost/... */
	const char *method;
	const char *body; /* JSON; NULL: none */
	curl_off_t body_length;
	struct curl_slist *headers; /* the caller's, for as long as the transfer */
	curl_write_callback received;
	void *context; /* of `received` */
};

static inline CURLcode ccurl_local_prepare(CURL *easy, const struct ccurl_local_request *request)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->socket);

	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_URL, request->url);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (code == CURLE_OK && request->body)
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, request->body_length);
	if (code == CURLE_OK && request->body)
		code = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, request->received);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, request->context);
	/* An id may be two dots, and "staged/." must not become "staged/". */
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	/* Neither http_proxy nor ~/.netrc has a say in what goes to a socket of ours; no signal for a name that is not
	 * looked up. */
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	return code;
}

/* The answer's HTTP status; 0 before there is one. */
static inline long ccurl_local_status(CURL *easy)
{
	long status = 0;

	return curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}

/* The errno of a failed connect; 0 where there was none. */
static inline long ccurl_local_errno(CURL *easy)
{
	long error = 0;

	return curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error) == CURLE_OK ? error : 0;
}
