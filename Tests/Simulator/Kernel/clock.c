#include "kernel.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

__thread int sim_is_here;
int sim_host;
struct sim_weather sim_weather;
int64_t sim_clock;
static uint64_t dice, digest;
static int64_t skews[sim_hosts];

void sim_die(const char *what) {
    fprintf(stderr, "simulated kernel: %s\n", what);
    abort();
}

uint64_t sim_dice(void) {
    dice += 0x9E3779B97F4A7C15u;
    uint64_t mixed = (dice ^ (dice >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ (mixed >> 31);
}

int sim_happens(uint32_t odds) { return odds && (sim_dice() >> 40) % 65536 < odds; }

int64_t sim_between(int64_t least, int64_t most) {
    return most <= least ? least : least + (int64_t)((sim_dice() >> 1) % (uint64_t)(most - least + 1));
}

int64_t sim_now(void) { return sim_clock; }
void sim_set_weather(struct sim_weather weather) { sim_weather = weather; }
void sim_set_skew(int host, int64_t nanoseconds) { skews[host] = nanoseconds; }
// Some day in 2026.
int64_t sim_wall(void) { return sim_clock + 1790000000000000000 + skews[sim_host]; }
uint64_t sim_digest(void) { return digest; }
void sim_digest_add(uint64_t value) { digest = (digest ^ value) * 0x100000001B3u + (digest >> 29); }

void sim_digest_bytes(const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    uint64_t number;
    for (; count >= 8; at += 8, count -= 8) {
        memcpy(&number, at, 8);
        sim_digest_add(number);
    }
    for (; count > 0; at++, count--) sim_digest_add(*at);
}

void sim_call(uint32_t number) {
    sim_digest_add(number + ((uint64_t)sim_clock << 8));
    if (sim_weather.call_most) sim_clock += sim_between(100, sim_weather.call_most);
    if (sim_happens(sim_weather.stall)) sim_clock += sim_between(0, sim_weather.stall_most);
}

// MARK: What was called

static struct {
    int64_t time;
    const char *name;
    int fd, end;
    long value;
} records[1 << 15];
static unsigned recorded;

void sim_record(const char *name, int fd, long value) {
    int end = no_end;
    if (fd >= first_fd && fd < first_fd + most_fds && fd_at(fd)->kind == fd_stream) end = fd_at(fd)->end;
    unsigned place = recorded++ % (1 << 15);
    records[place].time = sim_clock;
    records[place].name = name;
    records[place].fd = fd;
    records[place].end = end;
    records[place].value = value;
}

void sim_print_calls(void) {
    for (unsigned i = recorded > 1 << 15 ? recorded - (1 << 15) : 0; i < recorded; i++) {
        unsigned place = i % (1 << 15);
        int64_t micros = (records[place].time - 1000000000000) / 1000;
        printf(
            "%ld.%06ld %s fd %d end %d: %ld\n", (long)(micros / 1000000), (long)(micros % 1000000), records[place].name,
            records[place].fd, records[place].end, records[place].value);
    }
    fflush(stdout);
}

// MARK: What is to come

static struct entry *heap;
static size_t heap_count, heap_room;
static uint64_t heap_order;

void sim_start(uint64_t seed) {
    sim_is_here = 1;
    dice = seed;
    sim_clock = 1000000000000;
}

static int is_before(const struct entry *a, const struct entry *b) {
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

void heap_add(struct entry entry) {
    if (heap_count == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 1024;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap) sim_die("out of memory");
    }
    entry.order = heap_order++;
    size_t place = heap_count++;
    while (place > 0) {
        size_t above = (place - 1) / 2;
        if (!is_before(&entry, &heap[above])) break;
        heap[place] = heap[above];
        place = above;
    }
    heap[place] = entry;
}

int heap_first(int64_t until, struct entry *entry) {
    if (heap_count == 0 || heap[0].due > until) return 0;
    *entry = heap[0];
    return 1;
}

void heap_take(void) {
    struct entry last = heap[--heap_count];
    size_t place = 0;
    while (1) {
        size_t below = 2 * place + 1;
        if (below >= heap_count) break;
        if (below + 1 < heap_count && is_before(&heap[below + 1], &heap[below])) below++;
        if (!is_before(&heap[below], &last)) break;
        heap[place] = heap[below];
        place = below;
    }
    heap[place] = last;
}

void sim_set_timer(int64_t at, uint64_t token) {
    heap_add((struct entry){.due = at < sim_clock ? sim_clock : at, .kind = entry_token, .value = token});
}

// MARK: What is told

static struct sim_event *told;
static size_t told_first, told_count, told_room;

void tell(enum sim_kind kind, int end, uint64_t value) {
    if (told_first == told_count) told_first = told_count = 0;
    if (told_count == told_room) {
        told_room = told_room ? told_room * 2 : 256;
        told = realloc(told, told_room * sizeof *told);
        if (!told) sim_die("out of memory");
    }
    told[told_count++] = (struct sim_event){.kind = kind, .end = end, .value = value};
}

// Tokens that came up while only the network was to catch up.
void network_catch_up(void) {
    struct entry entry;
    while (heap_first(sim_clock, &entry)) {
        heap_take();
        if (entry.kind == entry_token) tell(sim_timer, no_end, entry.value);
        else streams_apply(entry);
    }
}

struct sim_event sim_next(int64_t until) {
    while (1) {
        if (told_first < told_count) return told[told_first++];
        void *base = NULL;
        int64_t run = bases_next(&base);
        struct entry entry;
        int64_t first = base && run < until ? run : until;
        if (heap_first(first, &entry)) {
            heap_take();
            if (entry.due > sim_clock) sim_clock = entry.due;
            if (entry.kind == entry_token) return (struct sim_event){.kind = sim_timer, .end = no_end, .value = entry.value};
            streams_apply(entry);
            continue;
        }
        if (base && run <= until) {
            if (run > sim_clock) sim_clock = run;
            return (struct sim_event){.kind = sim_base, .end = no_end, .base = base};
        }
        if (until > sim_clock && until != INT64_MAX) sim_clock = until;
        return (struct sim_event){.kind = sim_nothing, .end = no_end};
    }
}

struct stack_start {
    void (*body)(void *);
    void *context;
};

static void *start_on_stack(void *start) {
    struct stack_start at = *(struct stack_start *)start;
    at.body(at.context);
    return NULL;
}

void sim_fix_addresses(char *const *arguments) {
    if (getenv("SWIFT_DETERMINISTIC_HASHING")) return;
    setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1);
    if (personality(ADDR_NO_RANDOMIZE) == -1) fprintf(stderr, "addresses stay random: a seed may not play the same again\n");
    // What is read of the environment takes memory.
    static const char *const wanted[] = {"SWIFT_", "REMORA_", "LLVM_", "ASAN_", "TSAN_"};
    char *kept[64];
    int count = 0;
    for (char **each = environ; *each && count < 63; each++) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            if (!strncmp(*each, wanted[i], strlen(wanted[i]))) kept[count++] = *each;
        }
    }
    kept[count] = NULL;
    execve("/proc/self/exe", arguments, kept);
    sim_die("cannot start anew");
}

// What is in the arguments and in the environment moves the stack of the first thread.
void sim_on_own_stack(void (*body)(void *), void *context) {
    size_t size = 64 << 20;
    void *stack = mmap(
        (void *)0x300000000000, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (stack != (void *)0x300000000000) sim_die("no place for a stack");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, size);
    pthread_t thread;
    struct stack_start *start = malloc(sizeof *start);
    *start = (struct stack_start){body, context};
    if (pthread_create(&thread, &attributes, start_on_stack, start)) sim_die("no thread");
    pthread_join(thread, NULL);
}

int sim_memory_file(void) {
    int made = memfd_create("simulator", 0);
    if (made < 0) return made;
    fchmod(made, 0600);
    // Its path is part of the run, which is the same whatever the process has inherited.
    int fd = fcntl(made, F_DUPFD, 400);
    close(made);
    return fd;
}
