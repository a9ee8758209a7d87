#pragma once
#include <curl/curl.h>

// Swift can't call C's variadic functions: one inline function per type of argument.
static inline CURLcode lgw_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode lgw_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode lgw_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
// Takes a copy.
static inline CURLcode lgw_curl_set_blob(CURL *easy, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return curl_easy_setopt(easy, option, &blob);
}
typedef int (*lgw_curl_progress)(void *context, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
static inline CURLcode lgw_curl_set_progress(CURL *easy, lgw_curl_progress callback) {
    return curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, callback);
}
typedef size_t (*lgw_curl_write)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode lgw_curl_set_write(CURL *easy, CURLoption option, lgw_curl_write callback) {
    return curl_easy_setopt(easy, option, callback);
}
static inline CURLcode lgw_curl_set_open_socket(CURL *easy, curl_opensocket_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, callback);
}
// The address of the last connection; empty where there was none.
static inline const char *lgw_curl_primary_ip(CURL *easy) {
    char *address = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    return address ? address : "";
}
static inline long lgw_curl_primary_port(CURL *easy) {
    long port = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    return port;
}
static inline CURLcode lgw_curl_active_socket(CURL *easy, curl_socket_t *socket) {
    return curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, socket);
}
static inline long lgw_curl_status(CURL *easy) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}
static inline long lgw_curl_connect_status(CURL *easy) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status;
}
// http and https alone. The name of the option that takes text came with 7.85, and the older one is deprecated since.
static inline CURLcode lgw_curl_only_http(CURL *easy) {
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}
// Does not wait for a name server that is away (since 7.87).
static inline void lgw_curl_quick_exit(CURL *easy) {
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}
// Where this libcurl looks for certificates when it is not told: a folder with hashed names, and a file of all.
static inline const char *lgw_curl_ca_folder(void) {
    return curl_version_info(CURLVERSION_NOW)->capath;
}
static inline const char *lgw_curl_ca_bundle(void) {
    return curl_version_info(CURLVERSION_NOW)->cainfo;
}
