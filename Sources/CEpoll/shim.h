#pragma once
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

// A descriptor that can be read once the process has ended (pidfd_open(2)), closed on exec; -1 and errno where there is none.
// Swift can't call syscall(2), which takes any number of arguments; glibc has a function of its own from 2.36.
static inline int lgw_pidfd_open(int pid) {
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    errno = ENOSYS;
    return -1;
#endif
}

// glibc's module map leaves epoll(7) out, and its event is a packed struct with a union.

static inline int lgw_epoll_create(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}
enum { lgw_epoll_add = EPOLL_CTL_ADD, lgw_epoll_modify = EPOLL_CTL_MOD, lgw_epoll_delete = EPOLL_CTL_DEL };
// One event at a time: what was reported is armed anew.
static inline int lgw_epoll_control(int epoll, int operation, int descriptor, int reads, int writes, uint64_t token) {
    struct epoll_event event = {0};
    event.events = EPOLLONESHOT | (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0);
    event.data.u64 = token;
    return epoll_ctl(epoll, operation, descriptor, &event);
}
struct lgw_epoll_ready {
    uint64_t token;
    int reads, writes;
};
// An error or a hang-up ends every wait: the next read or write says what it is.
static inline int lgw_epoll_wait(int epoll, struct lgw_epoll_ready *ready, int limit) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, limit < 256 ? limit : 256, -1);
    for (int index = 0; index < count; index++) {
        int over = (events[index].events & (EPOLLERR | EPOLLHUP)) != 0;
        ready[index].token = events[index].data.u64;
        ready[index].reads = over || (events[index].events & EPOLLIN) != 0;
        ready[index].writes = over || (events[index].events & EPOLLOUT) != 0;
    }
    return count;
}
