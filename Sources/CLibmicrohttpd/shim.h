#pragma once
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sys/socket.h>

// How many connections, and after how long without a byte one is closed. `per_address` 0: no bound.
struct lgw_http_bounds {
    unsigned int connections;
    unsigned int per_address;
    unsigned int idle_seconds;
};
// A path is a C string for MHD's callbacks, so one with %00 in it would be another, shorter path: that stays as it came.
// Everything else is decoded as by MHD itself: %XX with two hexadecimal digits; what is no such thing is left alone.
static inline int lgw_http_hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}
static inline size_t lgw_http_unescape(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    size_t written = 0;
    for (size_t read = 0; text[read] != 0; read++) {
        int high = text[read] == '%' ? lgw_http_hex(text[read + 1]) : -1;
        int low = high >= 0 ? lgw_http_hex(text[read + 2]) : -1;
        if (low >= 0 && high + low > 0) {
            text[written++] = (char)(high << 4 | low);
            read += 2;
        } else {
            text[written++] = text[read];
        }
    }
    text[written] = 0;
    return written;
}
// MHD's start and options are variadic, which Swift can't call. The daemon polls with epoll in a thread of its own.
static inline struct MHD_Daemon *lgw_http_start(const struct sockaddr *address, MHD_AccessHandlerCallback handler,
                                                void *context, MHD_RequestCompletedCallback completed,
                                                MHD_NotifyConnectionCallback changed, struct lgw_http_bounds bounds) {
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, context,
        MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED, completed, context, MHD_OPTION_NOTIFY_CONNECTION,
        changed, context, MHD_OPTION_CONNECTION_LIMIT, bounds.connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        bounds.per_address, MHD_OPTION_CONNECTION_TIMEOUT, bounds.idle_seconds, MHD_OPTION_UNESCAPE_CALLBACK,
        lgw_http_unescape, NULL, MHD_OPTION_END);
}
// The same over TLS. `priorities` is GnuTLS's text for versions and ciphers.
static inline struct MHD_Daemon *lgw_http_start_tls(const struct sockaddr *address, MHD_AccessHandlerCallback handler,
                                                    void *context, MHD_RequestCompletedCallback completed,
                                                    MHD_NotifyConnectionCallback changed,
                                                    struct lgw_http_bounds bounds, const char *certificate,
                                                    const char *key, const char *priorities) {
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TLS, 0, NULL, NULL,
        handler, context, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED, completed, context,
        MHD_OPTION_NOTIFY_CONNECTION, changed, context, MHD_OPTION_CONNECTION_LIMIT, bounds.connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, bounds.per_address, MHD_OPTION_CONNECTION_TIMEOUT, bounds.idle_seconds,
        MHD_OPTION_HTTPS_MEM_CERT, certificate, MHD_OPTION_HTTPS_MEM_KEY, key, MHD_OPTION_HTTPS_PRIORITIES, priorities,
        MHD_OPTION_UNESCAPE_CALLBACK, lgw_http_unescape, NULL, MHD_OPTION_END);
}
// MHD closes the descriptor after it has said that the connection is closed.
static inline int lgw_http_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}
// What the notification of the connection's start has put into its slot.
static inline void *lgw_http_connection_slot(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}
static inline unsigned int lgw_http_port(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}
// The peer's IPv4 address as text, in `text`; NULL where it has none.
static inline const char *lgw_http_client_address(struct MHD_Connection *connection, char *text, socklen_t size) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr || info->client_addr->sa_family != AF_INET) return NULL;
    return inet_ntop(AF_INET, &((const struct sockaddr_in *)info->client_addr)->sin_addr, text, size);
}
static inline enum MHD_Result lgw_http_close_upgraded(struct MHD_UpgradeResponseHandle *handle) {
    return MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}
// An answer that ends in the middle: its reader fails after the first half.
struct lgw_http_half {
    size_t size;
    char bytes[];
};
static inline ssize_t lgw_http_read_half(void *context, uint64_t position, char *buffer, size_t space) {
    const struct lgw_http_half *half = (const struct lgw_http_half *)context;
    if (position >= half->size) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t count = half->size - (size_t)position < space ? half->size - (size_t)position : space;
    memcpy(buffer, half->bytes + position, count);
    return (ssize_t)count;
}
static inline struct MHD_Response *lgw_http_cut_off_response(const void *bytes, size_t size) {
    struct lgw_http_half *half = (struct lgw_http_half *)malloc(sizeof(struct lgw_http_half) + size / 2);
    if (!half) return NULL;
    half->size = size / 2;
    memcpy(half->bytes, bytes, half->size);
    return MHD_create_response_from_callback(size, 4096, lgw_http_read_half, half, free);
}
static const enum MHD_ResponseMemoryMode lgw_http_copy = MHD_RESPMEM_MUST_COPY;
// MHD's enumerations carry attributes that rename or hide their cases in Swift.
static const enum MHD_Result lgw_http_yes = MHD_YES;
static const enum MHD_Result lgw_http_no = MHD_NO;
static const enum MHD_ConnectionNotificationCode lgw_http_connection_started = MHD_CONNECTION_NOTIFY_STARTED;
static const enum MHD_ValueKind lgw_http_headers = MHD_HEADER_KIND;
static const enum MHD_ValueKind lgw_http_arguments = MHD_GET_ARGUMENT_KIND;
