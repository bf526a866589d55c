// The program's descriptors, what watches them, and its loops.
#include "kernel.h"
#include <stdio.h>

static struct descriptor descriptors[most_fds];
static int lowest = 0, highest = 0;
static int limits[sim_hosts], counts[sim_hosts];

struct descriptor *fd_at(int fd) { return &descriptors[fd - first_fd]; }

void sim_set_descriptors(int host, int count) { limits[host] = count; }
int sim_limit_of(int host) { return limits[host]; }
int sim_descriptors(int host) { return counts[host]; }
void sim_use_host(int host) { sim_host = host; }

int fd_make(enum fd_kind kind) {
    if (limits[sim_host] && counts[sim_host] >= limits[sim_host]) {
        errno = EMFILE;
        return -1;
    }
    int place = lowest;
    while (place < most_fds && descriptors[place].kind != fd_free) place++;
    if (place == most_fds) {
        errno = ENFILE;
        return -1;
    }
    lowest = place + 1;
    if (place >= highest) highest = place + 1;
    descriptors[place] = (struct descriptor){.kind = kind, .host = sim_host, .end = no_end, .epoll = -1, .epoll_of_own = -1};
    counts[sim_host]++;
    return first_fd + place;
}

int fd_close(int fd) {
    struct descriptor *at = fd_at(fd);
    if (at->kind == fd_free) {
        errno = EBADF;
        return -1;
    }
    epoll_forget(fd);
    struct descriptor was = *at;
    *at = (struct descriptor){.kind = fd_free, .epoll = -1};
    counts[was.host]--;
    if (fd - first_fd < lowest) lowest = fd - first_fd;
    switch (was.kind) {
    case fd_stream: end_close(was.end); break;
    case fd_listener: {
        struct listener *listener = listener_of(fd);
        if (listener) {
            // A copy of the descriptor keeps it.
            for (int i = 0; i < highest; i++) {
                if (descriptors[i].kind == fd_listener && descriptors[i].port == was.port) {
                    listener->fd = first_fd + i;
                    return 0;
                }
            }
            listener_end(listener);
        }
        break;
    }
    case fd_epoll: epoll_end(was.epoll_of_own); break;
    default: break;
    }
    return 0;
}

uint32_t fd_readiness(int fd) {
    struct descriptor *at = fd_at(fd);
    switch (at->kind) {
    case fd_stream: return end_readiness(at->end);
    case fd_listener: {
        struct listener *listener = listener_at(at->port);
        return listener && listener->count > 0 ? EPOLLIN : 0;
    }
    case fd_counter: return (at->counter ? EPOLLIN : 0) | EPOLLOUT;
    default: return 0;
    }
}

void sim_list_descriptors(int host, char *text, size_t size) {
    static const char *const names[] = {"free", "socket", "stream", "listener", "epoll", "counter"};
    size_t done = 0;
    text[0] = 0;
    for (int i = 0; i < highest && done + 80 < size; i++) {
        if (descriptors[i].kind == fd_free || descriptors[i].host != host) continue;
        int other = descriptors[i].kind == fd_stream ? end_at(descriptors[i].end)->other_port : descriptors[i].port;
        done += (size_t)snprintf(text + done, size - done, "%d:%s(%d) ", first_fd + i, names[descriptors[i].kind], other);
    }
}

// MARK: epoll

struct watcher {
    int is_used, host, fd;
    void *base;
    // Descriptors with something to tell, in order.
    int *list;
    int count, room;
    int64_t wake;     // when its loop runs; INT64_MAX: not
    int64_t deadline; // when its next timer is due
    int is_running, is_stopped, turns;
};
static struct watcher watchers[sim_hosts * 4];
enum { most_watchers = sim_hosts * 4 };
// No watcher from here on is in use.
static int watchers_end;
static int most_turns;

int epoll_make(void) {
    int fd = fd_make(fd_epoll);
    if (fd < 0) return -1;
    for (int i = 0; i < most_watchers; i++) {
        if (watchers[i].is_used) continue;
        watchers[i] = (struct watcher){.is_used = 1, .host = sim_host, .fd = fd, .wake = INT64_MAX, .deadline = INT64_MAX};
        fd_at(fd)->epoll_of_own = i;
        if (i >= watchers_end) watchers_end = i + 1;
        return fd;
    }
    sim_die("too many loops");
    return -1;
}

void epoll_end(int place) {
    free(watchers[place].list);
    watchers[place] = (struct watcher){0};
}

static void list_add(struct watcher *watcher, int fd) {
    struct descriptor *at = fd_at(fd);
    if (at->is_listed) return;
    at->is_listed = 1;
    if (watcher->count == watcher->room) {
        watcher->room = watcher->room ? watcher->room * 2 : 64;
        watcher->list = realloc(watcher->list, (size_t)watcher->room * sizeof *watcher->list);
        if (!watcher->list) sim_die("out of memory");
    }
    watcher->list[watcher->count++] = fd;
    if (!watcher->is_running && watcher->wake == INT64_MAX) {
        watcher->wake = sim_clock + sim_between(0, sim_weather.wake_most);
    }
}

void fd_touch(int fd) {
    struct descriptor *at = fd_at(fd);
    sim_record("happens", fd, (long)fd_readiness(fd));
    if (at->epoll < 0 || !(fd_readiness(fd) & (at->events | EPOLLERR | EPOLLHUP))) return;
    list_add(&watchers[at->epoll], fd);
}

void epoll_forget(int fd) {
    struct descriptor *at = fd_at(fd);
    if (at->epoll < 0) return;
    struct watcher *watcher = &watchers[at->epoll];
    if (at->is_listed) {
        for (int i = 0; i < watcher->count; i++) {
            if (watcher->list[i] != fd) continue;
            memmove(&watcher->list[i], &watcher->list[i + 1], (size_t)(watcher->count - i - 1) * sizeof *watcher->list);
            watcher->count--;
            break;
        }
    }
    at->is_listed = 0;
    at->epoll = -1;
}

int epoll_change(int epoll, int operation, int fd, struct epoll_event *event) {
    int place = fd_at(epoll)->epoll_of_own;
    if (fd < first_fd) return 0; // A real one, which never has anything to tell.
    struct descriptor *at = fd_at(fd);
    if (at->kind == fd_free || at->kind == fd_epoll) return errno = EBADF, -1;
    if (operation == EPOLL_CTL_ADD) {
        if (at->epoll == place) return errno = EEXIST, -1;
        if (at->epoll >= 0) sim_die("a descriptor that two loops watch");
    } else if (at->epoll != place) return errno = ENOENT, -1;
    if (operation == EPOLL_CTL_DEL) {
        epoll_forget(fd);
        return 0;
    }
    at->epoll = place;
    at->events = event->events;
    at->data = event->data.u64;
    fd_touch(fd);
    return 0;
}

int epoll_look(int epoll, struct epoll_event *events, int most, int timeout) {
    struct watcher *watcher = &watchers[fd_at(epoll)->epoll_of_own];
    network_catch_up();
    watcher->turns++;
    if (watcher->turns > most_turns) most_turns = watcher->turns;
    int given = 0, kept = 0, seen = 0;
    for (; seen < watcher->count && given < most; seen++) {
        int fd = watcher->list[seen];
        struct descriptor *at = fd_at(fd);
        uint32_t mask = fd_readiness(fd) & (at->events | EPOLLERR | EPOLLHUP);
        int stays = mask && !(at->events & EPOLLET);
        if (mask) {
            events[given].events = mask;
            sim_record("told", fd, (long)mask);
            events[given++].data.u64 = at->data;
        }
        if (stays) watcher->list[kept++] = fd;
        else at->is_listed = 0;
    }
    memmove(&watcher->list[kept], &watcher->list[seen], (size_t)(watcher->count - seen) * sizeof *watcher->list);
    watcher->count = kept + watcher->count - seen;
    if (given > 1 && sim_happens(sim_weather.shuffled)) {
        for (int i = given - 1; i > 0; i--) {
            int other = (int)(sim_dice() % (uint64_t)(i + 1));
            struct epoll_event moved = events[i];
            events[i] = events[other];
            events[other] = moved;
        }
    }
    watcher->deadline = INT64_MAX;
    if (given == 0 && timeout != 0) {
        if (timeout > 0) watcher->deadline = sim_clock + (int64_t)timeout * 1000000;
        watcher->turns = 0;
        return -2; // It would sleep.
    }
    return given;
}

// MARK: Loops

static int (*real_break)(void *);
void *sim_real(const char *name);
int (*sim_real_loop)(void *, int);
static void *newest_base;
static int running = -1;

void *sim_last_base(void) { return newest_base; }
int sim_most_turns(void) { return most_turns; }

void base_made(void *base) {
    newest_base = base;
    for (int i = most_watchers - 1; i >= 0; i--) {
        if (!watchers[i].is_used || watchers[i].base) continue;
        watchers[i].base = base;
        return;
    }
    sim_die("a base without epoll");
}

static struct watcher *watcher_of(void *base) {
    for (int i = 0; i < watchers_end; i++) if (watchers[i].is_used && watchers[i].base == base) return &watchers[i];
    sim_die("no such base");
    return NULL;
}

void base_stopped(void *base) { watcher_of(base)->is_stopped = 1; }
int sim_is_stopped(void *base) { return watcher_of(base)->is_stopped; }

void sim_wake(void *base) {
    struct watcher *watcher = watcher_of(base);
    if (watcher->wake > sim_clock) watcher->wake = sim_clock;
}

int64_t bases_next(void **base) {
    int64_t first = INT64_MAX;
    for (int i = 0; i < watchers_end; i++) {
        if (!watchers[i].is_used || watchers[i].is_stopped || !watchers[i].base) continue;
        int64_t due = watchers[i].wake < watchers[i].deadline ? watchers[i].wake : watchers[i].deadline;
        if (due < first) {
            first = due;
            *base = watchers[i].base;
        }
    }
    return first;
}

void sim_run(void *base) {
    struct watcher *watcher = watcher_of(base);
    watcher->wake = INT64_MAX;
    watcher->is_running = 1;
    running = (int)(watcher - watchers);
    sim_host = watcher->host;
    int turns = watcher->turns;
    (void)turns;
    sim_real_loop(base, 4 /* EVLOOP_NO_EXIT_ON_EMPTY */);
    watcher->is_running = 0;
    running = -1;
    if (watcher->turns > 0) watcher->wake = sim_clock; // It goes on.
    else if (watcher->count > 0) watcher->wake = sim_clock;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
    if (!is_ours(epoll)) {
        static int (*real)(int, struct epoll_event *, int, int);
        if (!real) real = sim_real("epoll_wait");
        return real(epoll, events, most, timeout);
    }
    sim_call(1);
    int given = epoll_look(epoll, events, most, timeout);
    if (running < 0) sim_die("a loop that runs by itself");
    if (!real_break) real_break = sim_real("event_base_loopbreak");
    struct watcher *watcher = &watchers[running];
    if (given == -2) {
        real_break(watcher->base);
        return 0;
    }
    // Others have their turns, too.
    if (watcher->turns % 64 == 0) real_break(watcher->base);
    return given;
}

void sim_kill(int host) {
    for (int i = 0; i < most_watchers; i++) if (watchers[i].is_used && watchers[i].host == host) watchers[i].is_stopped = 1;
    for (int i = 0; i < highest; i++) {
        if (descriptors[i].kind != fd_free && descriptors[i].host == host) fd_close(first_fd + i);
    }
}
