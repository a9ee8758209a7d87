#pragma once
#include <libpq-fe.h>

// Asks the server to cancel what a connection runs. libpq 17 sends that as the connection itself is: encrypted, with the same
// checks of the server's certificate. Before, it goes in clear, and who listens can cancel with it.

#ifdef LIBPQ_HAS_ASYNC_CANCEL
static inline void *lgw_make_cancellation(PGconn *connection) {
    return PQcancelCreate(connection);
}
// Blocks until the server has taken it, or can't be reached.
static inline void lgw_send_cancellation(void *cancellation) {
    PQcancelBlocking((PGcancelConn *)cancellation);
    PQcancelFinish((PGcancelConn *)cancellation);
}
#else
static inline void *lgw_make_cancellation(PGconn *connection) {
    return PQgetCancel(connection);
}
static inline void lgw_send_cancellation(void *cancellation) {
    char text[256];
    PQcancel((PGcancel *)cancellation, text, sizeof text);
    PQfreeCancel((PGcancel *)cancellation);
}
#endif
