// Memory at the same addresses in each run of a seed: tables that go by addresses have the same order then. What is allocated on the
// simulated thread comes from here, whatever the process had allocated before.
#include "kernel.h"
#include <malloc.h>
#include <sys/mman.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct block {
    uint64_t size;  // that can be used
    uint64_t class; // `no_class`: used once
};
enum { classes = 200, no_class = classes };
static const uintptr_t arena_start = 0x200000000000;
static const size_t arena_size = (size_t)1 << 38;
static char *arena_next;
static void *free_blocks[classes];

static int is_in_arena(const void *memory) { return (uintptr_t)memory - arena_start < arena_size; }

static void *arena_take(size_t size) {
    if (!arena_next) {
        arena_next = mmap(
            (void *)arena_start, arena_size, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (arena_next != (char *)arena_start) sim_die("no place for memory");
    }
    if ((uintptr_t)arena_next + size - arena_start > arena_size) sim_die("out of memory");
    void *taken = arena_next;
    arena_next += size;
    return taken;
}

// Classes are 16 bytes apart up to 1 KiB, and four to each power of two above.
static unsigned class_of(size_t size, size_t *room) {
    if (size <= 1024) {
        unsigned place = size ? (unsigned)((size - 1) / 16) : 0;
        *room = (place + 1) * 16;
        return place;
    }
    unsigned power = 63 - (unsigned)__builtin_clzl(size - 1);
    size_t step = (size_t)1 << (power - 2);
    unsigned quarter = (unsigned)((size - 1 - ((size_t)1 << power)) / step);
    *room = ((size_t)1 << power) + (quarter + 1) * step;
    return 64 + (power - 10) * 4 + quarter;
}

static void *arena_malloc(size_t size) {
    size_t room;
    unsigned class = class_of(size, &room);
    if (class >= classes) return errno = ENOMEM, NULL;
    void *found = free_blocks[class];
    if (found) {
        free_blocks[class] = *(void **)found;
        return found;
    }
    struct block *block = arena_take(sizeof *block + room);
    *block = (struct block){.size = room, .class = class};
    return block + 1;
}

void *malloc(size_t size) { return sim_is_here ? arena_malloc(size) : __libc_malloc(size); }

void free(void *memory) {
    if (!is_in_arena(memory)) return __libc_free(memory);
    // Another thread, which there is only at the end.
    if (!sim_is_here) return;
    struct block *block = (struct block *)memory - 1;
    if (block->class == no_class) return;
    *(void **)memory = free_blocks[block->class];
    free_blocks[block->class] = memory;
}

void *calloc(size_t count, size_t size) {
    if (!sim_is_here) return __libc_calloc(count, size);
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) return errno = ENOMEM, NULL;
    void *memory = arena_malloc(all);
    return memory ? memset(memory, 0, all) : NULL;
}

size_t malloc_usable_size(void *memory) {
    if (is_in_arena(memory)) return ((struct block *)memory - 1)->size;
    static size_t (*real)(void *);
    if (!real) {
        extern void *sim_real(const char *);
        real = sim_real("malloc_usable_size");
    }
    return real(memory);
}

void *realloc(void *memory, size_t size) {
    if (!memory) return malloc(size);
    int is_here = is_in_arena(memory);
    if (!is_here && !sim_is_here) return __libc_realloc(memory, size);
    size_t had = malloc_usable_size(memory);
    if (is_here && sim_is_here && size <= had && size > had / 2) return memory;
    void *moved = malloc(size);
    if (!moved) return NULL;
    memcpy(moved, memory, had < size ? had : size);
    free(memory);
    return moved;
}

void *memalign(size_t alignment, size_t size) {
    if (!sim_is_here) return __libc_memalign(alignment, size);
    if (alignment <= 16) return arena_malloc(size);
    char *taken = arena_take(size + 2 * alignment + sizeof(struct block));
    uintptr_t place = ((uintptr_t)taken + sizeof(struct block) + alignment - 1) / alignment * alignment;
    *((struct block *)place - 1) = (struct block){.size = size, .class = no_class};
    // What follows stays at multiples of 16.
    arena_next = (char *)(((uintptr_t)arena_next + 15) / 16 * 16);
    return (void *)place;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
