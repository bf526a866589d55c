// The functions of the C library that the program and its libraries call.
#include "kernel.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void *sim_real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) sim_die(name);
    return found;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))sim_real(#name)

// MARK: Time

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!sim_is_here) {
        REAL(clock_gettime);
        return real(clock, time);
    }
    int64_t now = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? sim_wall() : sim_clock;
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    if (!sim_is_here) {
        REAL(gettimeofday);
        return real(time, zone);
    }
    time->tv_sec = sim_wall() / 1000000000;
    time->tv_usec = sim_wall() % 1000000000 / 1000;
    return 0;
}

time_t time(time_t *result) {
    if (!sim_is_here) {
        REAL(time);
        return real(result);
    }
    time_t now = sim_wall() / 1000000000;
    if (result) *result = now;
    return now;
}

// MARK: The dice

static void fill(void *bytes, size_t count) {
    uint8_t *at = bytes;
    while (count > 0) {
        uint64_t number = sim_dice();
        size_t part = count < 8 ? count : 8;
        memcpy(at, &number, part);
        at += part;
        count -= part;
    }
}

int getentropy(void *bytes, size_t count) {
    if (!sim_is_here) {
        REAL(getentropy);
        return real(bytes, count);
    }
    fill(bytes, count);
    return 0;
}

ssize_t getrandom(void *bytes, size_t count, unsigned flags) {
    if (!sim_is_here) {
        REAL(getrandom);
        return real(bytes, count, flags);
    }
    fill(bytes, count);
    return (ssize_t)count;
}

uint32_t arc4random(void) {
    if (!sim_is_here) {
        uint32_t (*real)(void) = sim_real("arc4random");
        return real();
    }
    return (uint32_t)sim_dice();
}

void arc4random_buf(void *bytes, size_t count) {
    if (!sim_is_here) {
        void (*real)(void *, size_t) = sim_real("arc4random_buf");
        return real(bytes, count);
    }
    fill(bytes, count);
}

int RAND_bytes(unsigned char *bytes, int count) {
    if (!sim_is_here) {
        int (*real)(unsigned char *, int) = sim_real("RAND_bytes");
        return real(bytes, count);
    }
    fill(bytes, (size_t)count);
    return 1;
}

long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long),
         e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if (sim_is_here && number == SYS_getrandom) {
        fill((void *)a, (size_t)b);
        return b;
    }
    static long (*real)(long, long, long, long, long, long, long);
    if (!real) real = sim_real("syscall");
    return real(number, a, b, c, d, e, f);
}

// MARK: Threads

// What the program would have done beside: it writes the log. The thread is there and ends at once, until somebody wants to
// read the log.
static struct {
    void *(*body)(void *);
    void *context;
} kept_threads[64];
static int kept_count;

static void *nothing(void *context) { return context; }

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *context) {
    REAL(pthread_create);
    if (!sim_is_here) return real(thread, attributes, body, context);
    if (kept_count < 64) {
        kept_threads[kept_count].body = body;
        kept_threads[kept_count++].context = context;
    }
    // What a thread needs comes and goes when it likes: not from the memory of the run.
    sim_is_here = 0;
    int failure = real(thread, attributes, nothing, NULL);
    sim_is_here = 1;
    return failure;
}

void sim_let_threads_run(void) {
    REAL(pthread_create);
    for (int i = 0; i < kept_count; i++) {
        pthread_t thread;
        if (real(&thread, NULL, kept_threads[i].body, kept_threads[i].context) == 0) pthread_detach(thread);
    }
    kept_count = 0;
}

// MARK: Limits

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
    if (!sim_is_here || resource != RLIMIT_NOFILE) {
        REAL(getrlimit);
        return real(resource, limit);
    }
    extern int sim_limit_of(int host);
    int count = sim_limit_of(sim_host);
    limit->rlim_cur = limit->rlim_max = count ? (rlim_t)count : 16000;
    return 0;
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
    if (sim_is_here) return 0;
    REAL(setrlimit);
    return real(resource, limit);
}

// MARK: Descriptors

int close(int fd) {
    if (!is_ours(fd)) {
        REAL(close);
        return real(fd);
    }
    sim_call(2);
    sim_record("close", fd, 0);
    return fd_close(fd);
}

static int control(int fd, int command, long argument) {
    sim_call(3);
    struct descriptor *at = fd_at(fd);
    if (at->kind == fd_free) return errno = EBADF, -1;
    if (command == F_GETFL) return O_RDWR | O_NONBLOCK;
    if (command == F_DUPFD_CLOEXEC || command == F_DUPFD) {
        if (at->kind != fd_listener) sim_die("a copy of something else than a listener");
        int copy = fd_make(fd_listener);
        if (copy >= 0) fd_at(copy)->port = fd_at(fd)->port;
        return copy;
    }
    (void)argument;
    return 0;
}

#define CONTROL(name) \
    int name(int fd, int command, ...) { \
        va_list list; \
        va_start(list, command); \
        long argument = va_arg(list, long); \
        va_end(list); \
        if (is_ours(fd)) return control(fd, command, argument); \
        static int (*real)(int, int, ...); \
        if (!real) real = sim_real(#name); \
        return real(fd, command, argument); \
    }
CONTROL(fcntl)
CONTROL(fcntl64)

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!is_ours(fd)) {
        static int (*real)(int, unsigned long, ...);
        if (!real) real = sim_real("ioctl");
        return real(fd, request, argument);
    }
    sim_call(4);
    struct descriptor *at = fd_at(fd);
    if (request != TIOCOUTQ || at->kind != fd_stream) return errno = EINVAL, -1;
    struct end *end = end_at(at->end);
    int count = 0;
    if (end->other != no_end) {
        struct end *other = end_at(end->other);
        // A Unix socket counts until its peer has read.
        count = (int)(other->is_local ? other->count : other->count - other->ready);
    }
    *(int *)argument = count;
    return 0;
}

int poll(struct pollfd *looks, nfds_t count, int timeout) {
    if (count == 0 || !is_ours(looks[0].fd)) {
        REAL(poll);
        return real(looks, count, timeout);
    }
    sim_call(5);
    if (timeout != 0) sim_die("poll that waits");
    int found = 0;
    for (nfds_t i = 0; i < count; i++) {
        looks[i].revents = (short)(fd_readiness(looks[i].fd) & ((uint32_t)looks[i].events | POLLERR | POLLHUP));
        found += looks[i].revents != 0;
    }
    return found;
}

int eventfd(unsigned count, int flags) {
    if (!sim_is_here) {
        REAL(eventfd);
        return real(count, flags);
    }
    int fd = fd_make(fd_counter);
    if (fd >= 0) fd_at(fd)->counter = count;
    return fd;
}

int eventfd_write(int fd, eventfd_t value) {
    if (!is_ours(fd)) {
        REAL(eventfd_write);
        return real(fd, value);
    }
    fd_at(fd)->counter += value;
    fd_touch(fd);
    return 0;
}

int eventfd_read(int fd, eventfd_t *value) {
    if (!is_ours(fd)) {
        REAL(eventfd_read);
        return real(fd, value);
    }
    if (fd_at(fd)->counter == 0) return errno = EAGAIN, -1;
    *value = fd_at(fd)->counter;
    fd_at(fd)->counter = 0;
    return 0;
}

int epoll_create1(int flags) {
    if (!sim_is_here) {
        REAL(epoll_create1);
        return real(flags);
    }
    return epoll_make();
}

int epoll_create(int size) {
    if (!sim_is_here) {
        REAL(epoll_create);
        return real(size);
    }
    return epoll_make();
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (!is_ours(epoll)) {
        REAL(epoll_ctl);
        return real(epoll, operation, fd, event);
    }
    sim_call(6);
    sim_record(operation == EPOLL_CTL_ADD ? "watch" : operation == EPOLL_CTL_MOD ? "watch otherwise" : "forget", fd, event ? (long)event->events : 0);
    return epoll_change(epoll, operation, fd, event);
}

// MARK: Sockets

static int local_pair(int fds[2], int is_pipe) {
    int a = fd_make(fd_stream);
    if (a < 0) return -1;
    int b = fd_make(fd_stream);
    if (b < 0) {
        int error = errno;
        fd_close(a);
        return errno = error, -1;
    }
    int one = end_make(sim_host, a), other = end_make(sim_host, b);
    end_pair(one, other);
    for (int i = 0; i < 2; i++) {
        struct end *end = end_at(i ? other : one);
        end->is_local = 1;
        end->window = 64 * 1024;
        if (is_pipe && i == 0) end->reads_only = 1;
        if (is_pipe && i == 1) end->writes_only = 1;
    }
    fd_at(a)->end = one;
    fd_at(b)->end = other;
    fds[0] = a;
    fds[1] = b;
    return 0;
}

int pipe2(int fds[2], int flags) {
    if (!sim_is_here) {
        REAL(pipe2);
        return real(fds, flags);
    }
    return local_pair(fds, 1);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
    if (!sim_is_here) {
        REAL(socketpair);
        return real(domain, type, protocol, fds);
    }
    return local_pair(fds, 0);
}

int socket(int domain, int type, int protocol) {
    if (!sim_is_here) {
        REAL(socket);
        return real(domain, type, protocol);
    }
    sim_call(7);
    if (domain != AF_INET || (type & 0xF) != SOCK_STREAM) return errno = EAFNOSUPPORT, -1;
    return fd_make(fd_socket);
}

static uint16_t port_of(const struct sockaddr *address) {
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

static void write_address(struct sockaddr *address, socklen_t *size, uint16_t port) {
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
    found.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(address, &found, *size < sizeof found ? *size : sizeof found);
    *size = sizeof found;
}

int bind(int fd, const struct sockaddr *address, socklen_t size) {
    if (!is_ours(fd)) {
        REAL(bind);
        return real(fd, address, size);
    }
    sim_call(8);
    uint16_t port = port_of(address);
    if (port == 0) port = listener_free_port();
    if (listener_at(port)) return errno = EADDRINUSE, -1;
    fd_at(fd)->port = port;
    return 0;
}

int listen(int fd, int backlog) {
    if (!is_ours(fd)) {
        REAL(listen);
        return real(fd, backlog);
    }
    sim_call(9);
    struct descriptor *at = fd_at(fd);
    if (listener_at(at->port)) return errno = EADDRINUSE, -1;
    at->kind = fd_listener;
    listener_make(at->port, sim_host, fd);
    return 0;
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    if (!is_ours(fd)) {
        static int (*real)(int, struct sockaddr *, socklen_t *, int);
        if (!real) real = sim_real("accept4");
        return real(fd, address, size, flags);
    }
    sim_call(10);
    struct listener *listener = listener_at(fd_at(fd)->port);
    if (!listener || listener->count == 0) return errno = EAGAIN, -1;
    int accepted = fd_make(fd_stream);
    if (accepted < 0) return -1;
    int end = listener->waiting[0];
    memmove(listener->waiting, listener->waiting + 1, (size_t)--listener->count * sizeof *listener->waiting);
    fd_at(accepted)->end = end;
    end_at(end)->fd = accepted;
    sim_record("accept", accepted, end);
    return accepted;
}

int connect(int fd, const struct sockaddr *address, socklen_t size) {
    if (!is_ours(fd)) {
        REAL(connect);
        return real(fd, address, size);
    }
    sim_call(11);
    struct descriptor *at = fd_at(fd);
    at->kind = fd_stream;
    at->end = end_make(sim_host, fd);
    end_connect(at->end, port_of(address));
    sim_record("connect", fd, port_of(address));
    return errno = EINPROGRESS, -1;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
    if (!is_ours(fd)) {
        REAL(setsockopt);
        return real(fd, level, option, value, size);
    }
    if (level == SOL_SOCKET && option == SO_ATTACH_FILTER) {
        struct listener *listener = listener_at(fd_at(fd)->port);
        if (listener) listener->is_deaf = 1;
    }
    return 0;
}

// An error is told once.
static int take_error(struct end *end) {
    if (!end->has_reset || end->error_was_told) return 0;
    end->error_was_told = 1;
    return end->error;
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size) {
    if (!is_ours(fd)) {
        REAL(getsockopt);
        return real(fd, level, option, value, size);
    }
    int found = 0;
    if (level == SOL_SOCKET && option == SO_ERROR && fd_at(fd)->kind == fd_stream) found = take_error(end_at(fd_at(fd)->end));
    *(int *)value = found;
    *size = sizeof found;
    return 0;
}

int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict size) {
    if (!is_ours(fd)) {
        REAL(getsockname);
        return real(fd, address, size);
    }
    struct descriptor *at = fd_at(fd);
    write_address(address, size, at->kind == fd_stream ? end_at(at->end)->port : at->port);
    return 0;
}

int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict size) {
    if (!is_ours(fd)) {
        REAL(getpeername);
        return real(fd, address, size);
    }
    struct descriptor *at = fd_at(fd);
    if (at->kind != fd_stream || end_at(at->end)->is_local) return errno = ENOTCONN, -1;
    write_address(address, size, end_at(at->end)->other_port);
    return 0;
}

int shutdown(int fd, int how) {
    if (!is_ours(fd)) {
        REAL(shutdown);
        return real(fd, how);
    }
    sim_call(12);
    struct descriptor *at = fd_at(fd);
    if (at->kind != fd_stream || end_at(at->end)->has_reset) return errno = ENOTCONN, -1;
    end_finish(at->end);
    return 0;
}

static ssize_t take_in(int fd, void *bytes, size_t count, int flags) {
    sim_call(13);
    struct descriptor *at = fd_at(fd);
    if (at->kind == fd_counter) {
        if (at->counter == 0) return errno = EAGAIN, -1;
        memcpy(bytes, &at->counter, 8);
        at->counter = 0;
        return 8;
    }
    if (at->kind != fd_stream) return errno = EBADF, -1;
    struct end *end = end_at(at->end);
    if (end->is_connecting) return errno = EAGAIN, -1;
    size_t taken = end_read(at->end, bytes, count, (flags & MSG_PEEK) != 0);
    sim_record("read", fd, (long)taken);
    if (taken > 0) {
        sim_digest_add(taken);
        return (ssize_t)taken;
    }
    int error = take_error(end);
    if (error) return errno = error, -1;
    if (end->has_finish || end->has_reset) return 0;
    return errno = EAGAIN, -1;
}

static ssize_t put_out(int fd, const struct iovec *parts, int count) {
    sim_call(14);
    struct descriptor *at = fd_at(fd);
    if (at->kind == fd_counter) {
        at->counter += *(uint64_t *)parts[0].iov_base;
        fd_touch(fd);
        return 8;
    }
    if (at->kind != fd_stream) return errno = EBADF, -1;
    struct end *end = end_at(at->end);
    if (end->is_connecting) return errno = EAGAIN, -1;
    int error = take_error(end);
    if (error) return errno = error, -1;
    if (end->has_reset || end->sent_finish) return errno = EPIPE, -1;
    if (end->is_local && (end->other == no_end || end_at(end->other)->is_closed)) return errno = EPIPE, -1;
    size_t all = 0;
    for (int i = 0; i < count; i++) {
        size_t taken = end_write(at->end, parts[i].iov_base, parts[i].iov_len);
        all += taken;
        sim_digest_bytes(parts[i].iov_base, taken);
        if (taken < parts[i].iov_len) break;
    }
    sim_digest_add(all);
    sim_record("write", fd, (long)all);
    for (int i = 0; i < count; i++) if (parts[i].iov_len) goto some;
    return 0;
some:
    if (all == 0) return errno = EAGAIN, -1;
    return (ssize_t)all;
}

ssize_t recv(int fd, void *bytes, size_t count, int flags) {
    if (is_ours(fd)) return take_in(fd, bytes, count, flags);
    REAL(recv);
    return real(fd, bytes, count, flags);
}

ssize_t read(int fd, void *bytes, size_t count) {
    if (is_ours(fd)) return take_in(fd, bytes, count, 0);
    REAL(read);
    return real(fd, bytes, count);
}

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    if (is_ours(fd)) return put_out(fd, &(struct iovec){(void *)(uintptr_t)bytes, count}, 1);
    REAL(send);
    return real(fd, bytes, count, flags);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (is_ours(fd)) return put_out(fd, &(struct iovec){(void *)(uintptr_t)bytes, count}, 1);
    REAL(write);
    return real(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (is_ours(fd)) return put_out(fd, parts, count);
    REAL(writev);
    return real(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (is_ours(fd)) return put_out(fd, message->msg_iov, (int)message->msg_iovlen);
    REAL(sendmsg);
    return real(fd, message, flags);
}

// MARK: libevent

void base_made(void *base);
void base_stopped(void *base);
extern int (*sim_real_loop)(void *, int);

void *event_base_new_with_config(const void *config) {
    static void *(*real)(const void *);
    if (!real) real = sim_real("event_base_new_with_config");
    void *base = real(config);
    if (sim_is_here) {
        base_made(base);
        sim_real_loop = sim_real("event_base_loop");
    }
    return base;
}

int event_base_loopbreak(void *base) {
    static int (*real)(void *);
    if (!real) real = sim_real("event_base_loopbreak");
    if (sim_is_here) base_stopped(base);
    return real(base);
}

int sim_events(void *base) {
    static int (*real)(void *, unsigned);
    if (!real) real = sim_real("event_base_get_num_events");
    return real(base, 2 /* EVENT_BASE_COUNT_ADDED */);
}
