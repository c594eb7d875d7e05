#pragma once

#include <stddef.h>

/// How many blocks this process has asked the allocator for since it started, from all threads.
size_t bench_allocations(void);
