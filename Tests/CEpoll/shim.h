// What Swift's Glibc does not have.
#include <stddef.h>
#include <sys/epoll.h>

extern void *memmem(const void *haystack, size_t size, const void *needle, size_t length);

static inline const void *crossing_find(const void *haystack, size_t size, const void *needle, size_t length) {
    return memmem(haystack, size, needle, length);
}
