// What the parts of the simulated kernel share.
#pragma once
#include "include/SimulatedKernel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

extern __thread int sim_is_here;
extern int sim_host;
extern struct sim_weather sim_weather;
extern int64_t sim_clock;

// Descriptors of the program begin here, above all real ones.
enum { first_fd = 600, most_fds = 16384 };

// MARK: Time (clock.c)

void sim_die(const char *what);
int sim_happens(uint32_t odds);
int64_t sim_between(int64_t least, int64_t most);
// What a system call takes.
void sim_call(uint32_t number);
int64_t sim_wall(void);
// Everything that the program says is a part of what two runs agree in.
void sim_digest_bytes(const void *bytes, size_t count);
// Keeps what a system call came to.
void sim_record(const char *name, int fd, long value);

enum entry_kind { entry_data, entry_finish, entry_reset, entry_room, entry_arrival, entry_made, entry_refused, entry_token };
struct entry {
    int64_t due;
    uint64_t order;
    enum entry_kind kind;
    int end;
    uint32_t generation;
    uint64_t value;
};
void heap_add(struct entry entry);
// The first entry, if it is due by then.
int heap_first(int64_t until, struct entry *entry);
void heap_take(void);

// What is told to the simulator as soon as it asks.
void tell(enum sim_kind kind, int end, uint64_t value);

// MARK: Connections (streams.c)

enum { no_end = -1 };
struct end {
    uint32_t generation;
    int is_used;
    int host;
    int other; // no_end: never made, or gone
    int fd;    // -1: a peer's
    int is_closed, is_connecting;
    uint16_t port, other_port;
    // Towards this end: the first `ready` bytes have come.
    uint8_t *bytes;
    size_t room, start, count, ready;
    size_t window;
    int64_t last_due;
    int has_finish, has_reset, error, error_was_told;
    // From this end.
    int sent_finish, wants_room;
    int is_local; // no network between
    int reads_only, writes_only;
};
struct end *end_at(int end);
int end_make(int host, int fd);
void end_pair(int a, int b);
void end_close(int end);
void end_reset(int end);
void end_finish(int end);
size_t end_write(int end, const void *bytes, size_t count);
size_t end_read(int end, void *bytes, size_t count, int peek);
size_t end_room(int end);
uint32_t end_readiness(int end);
void end_connect(int end, uint16_t port);
void streams_apply(struct entry entry);
int is_parted(int a, int b);

struct listener {
    uint16_t port;
    int host, fd, is_deaf;
    int *waiting;
    int count, room;
};
struct listener *listener_at(uint16_t port);
struct listener *listener_of(int fd);
struct listener *listener_make(uint16_t port, int host, int fd);
void listener_end(struct listener *listener);
uint16_t listener_free_port(void);

// MARK: Descriptors (descriptors.c)

enum fd_kind { fd_free, fd_socket, fd_stream, fd_listener, fd_epoll, fd_counter };
struct descriptor {
    enum fd_kind kind;
    int host;
    int end;
    uint16_t port; // bound to
    uint64_t counter;
    int epoll_of_own; // its index, of an epoll
    // Where it is watched.
    int epoll;
    uint32_t events;
    uint64_t data;
    int is_listed;
    int copy_of;
};
struct descriptor *fd_at(int fd);
static inline int is_ours(int fd) { return sim_is_here && fd >= first_fd && fd < first_fd + most_fds; }
int fd_make(enum fd_kind kind);
int fd_close(int fd);
// Something has happened there.
void fd_touch(int fd);
uint32_t fd_readiness(int fd);

int epoll_make(void);
int epoll_change(int epoll, int operation, int fd, struct epoll_event *event);
int epoll_look(int epoll, struct epoll_event *events, int most, int timeout);
void epoll_forget(int fd);
void epoll_end(int fd);
// The base that is to run next, and when; -1: none.
int64_t bases_next(void **base);

// Everything of the network that is due by now.
void network_catch_up(void);
