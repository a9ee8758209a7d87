#ifndef LGW_ALLOCATION_COUNT_H
#define LGW_ALLOCATION_COUNT_H

#include <stdint.h>

/* Calls of malloc, calloc, realloc, aligned_alloc and posix_memalign in this process since lgw_count_allocations(1). */
uint64_t lgw_allocations(void);

/* Starts (1) or stops (0) counting. */
void lgw_count_allocations(int enabled);

/* Bytes that the process holds from malloc now (mallinfo2: in use, also by mmap). */
uint64_t lgw_allocated_bytes(void);

#endif
