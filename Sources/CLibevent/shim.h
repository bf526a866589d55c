#pragma once
// <event2/event-config.h> defines _GNU_SOURCE unless it is already decided: let the C library
// decide first, or the next C module that is imported sees two spellings of it.
#include <features.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>

#include <linux/filter.h>
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
