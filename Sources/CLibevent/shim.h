#pragma once
// <event2/event-config.h> defines _GNU_SOURCE unless it is already decided: let the C library
// decide first, or the next C module that is imported sees two spellings of it.
#include <features.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>

#include <sys/eventfd.h>
#include <sys/socket.h>

// The constants are an anonymous enum, which Swift imports as no usable type.
static inline int remora_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

// accept4 is declared only for _GNU_SOURCE, which no module here may decide alone (see above).
extern int accept4(int, struct sockaddr *, socklen_t *, int);
static inline int remora_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }
