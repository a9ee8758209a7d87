#include "allocation_count.h"

#include <errno.h>
#include <stddef.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Atomic int counting = 0;
static _Atomic uint64_t count = 0;

uint64_t lgw_allocations(void) { return count; }
void lgw_count_allocations(int enabled) {
    if (enabled) count = 0;
    counting = enabled;
}

/* A sanitizer brings its own allocator. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LGW_SANITIZED
#endif
#endif

#if defined(__GLIBC__) && !defined(LGW_SANITIZED)
/* The executable's own definitions win over libc's, for every shared library too; libc's stand behind other names. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static inline void note(void) {
    if (__builtin_expect(counting, 0)) count++;
}

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}
void *calloc(size_t members, size_t size) {
    note();
    return __libc_calloc(members, size);
}
void *realloc(void *pointer, size_t size) {
    note();
    return __libc_realloc(pointer, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **pointer, size_t alignment, size_t size) {
    note();
    *pointer = __libc_memalign(alignment, size);
    return *pointer ? 0 : ENOMEM;
}

uint64_t lgw_allocated_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#else
uint64_t lgw_allocated_bytes(void) { return 0; }
#endif
