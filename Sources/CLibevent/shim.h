#pragma once
// <event2/event-config.h> defines _GNU_SOURCE unless it is already decided: let the C library
// decide first, or the next C module that is imported sees two spellings of it.
#include <features.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
