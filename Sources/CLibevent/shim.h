#pragma once
// <event2/event-config.h> defines _GNU_SOURCE unless it is already decided: let the C library
// decide first, or the next C module that is imported sees two spellings of it.
#include <features.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>

#include <linux/filter.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// The constants are an anonymous enum, which Swift imports as no usable type.
static inline int remora_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

// accept4 is declared only for _GNU_SOURCE, which no module here may decide alone (see above).
extern int accept4(int, struct sockaddr *, socklen_t *, int);
static inline int remora_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

// Lets a listening TCP socket hear no first SYN any more, while connections that are being made still come about. The
// filter sees a packet from its TCP header on, whose byte 13 has the flags (RFC 9293 section 3.1): SYN is 2, ACK is 16.
static inline int remora_ignore_newcomers(int fd) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 18),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

// Child processes. Nothing here allocates or takes a lock between vfork and execve: the child shares the parent's memory.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

extern int pipe2(int *, int);
static inline int remora_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC); }

static inline int remora_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

struct remora_child {
    const char *path;
    char *const *arguments;
    char *const *environment;
    const char *directory; // NULL: the parent's
    int input, output, errors; // above 2; they become 0, 1 and 2
    int warden; // gets the child's id; -1: nobody does
    int dies_with_parent;
};

// What failed in a child, for the message.
enum { remora_child_setup = 1, remora_child_directory = 2, remora_child_exec = 3 };

// Runs in the child; returns only if something failed, which `step` then says.
static inline int remora_become(const struct remora_child *child, pid_t parent, volatile int *step) {
    *step = remora_child_setup;
    // The death of the parent's *thread* counts. Who died before this line is found by the next.
    if (child->dies_with_parent && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)) return errno;
    // A session, and with it a process group, of its own: Ctrl-C at Remora's terminal is not for it, and a signal reaches all
    // of the group.
    if (setsid() < 0) return errno;
    pid_t self = getpid();
    // Before there can be a grandchild. SIGPIPE is still ignored, as in the parent.
    if (child->warden >= 0 && write(child->warden, &self, sizeof self) < 0) { /* It is gone: nothing can be done here. */ }
    if (dup2(child->input, 0) < 0 || dup2(child->output, 1) < 0 || dup2(child->errors, 2) < 0) return errno;
    // Everything is close-on-exec; this is for what a library may have opened otherwise.
    (void)syscall(SYS_close_range, 3U, ~0U, 0U);
    *step = remora_child_directory;
    if (child->directory && chdir(child->directory) != 0) return errno;
    *step = remora_child_exec;
    struct sigaction normal;
    for (unsigned i = 0; i < sizeof normal; i++) ((volatile char *)&normal)[i] = 0;
    normal.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) (void)sigaction(number, &normal, NULL);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    execve(child->path, child->arguments, child->environment);
    return errno;
}

// Starts a child. Returns its id, or -1 with `errno` and the step that failed. The calling thread waits until the child
// has become the program, some 100 us; its memory is not copied.
// poll.h has it with _GNU_SOURCE only.
#ifndef POLLRDHUP
#define POLLRDHUP 0x2000
#endif
// Whether the other end of a connection has gone, whatever there is to be read before that: 1 where it sends no more, 2 where
// the connection is broken.
static inline int remora_end(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    if (poll(&look, 1, 0) <= 0) return 0;
    if (look.revents & (POLLERR | POLLHUP | POLLNVAL)) return 2;
    return look.revents & POLLRDHUP ? 1 : 0;
}
// Bytes that the kernel has taken and the peer's has not acknowledged; of a Unix socket, that the peer has not read.
static inline int remora_unacknowledged(int fd) {
    int count = 0;
    return ioctl(fd, TIOCOUTQ, &count) == 0 ? count : 0;
}
static inline pid_t remora_spawn(const struct remora_child *child, int *failed_step) {
    sigset_t all, before;
    volatile int step = 0, failure = 0;
    pid_t parent = getpid();
    sigfillset(&all);
    // No handler of the parent's may run in the child, whose memory is the parent's.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0) {
        failure = remora_become(child, parent, &step);
        _exit(127);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        *failed_step = remora_child_setup;
        errno = error;
        return -1;
    }
    if (failure) {
        *failed_step = step;
        errno = failure;
        // The caller reaps it.
        return -pid;
    }
    return pid;
}
