// Connections: two ends, each with the bytes that are on their way to it.
#include "kernel.h"
#include <stdio.h>

static struct end *ends;
static int ends_count, ends_room;
static int *free_ends;
static int free_count, free_room;
static uint8_t parted[sim_hosts][sim_hosts];

int is_parted(int a, int b) { return parted[a][b]; }

struct end *end_at(int end) {
    if (end < 0 || end >= ends_count || !ends[end].is_used) sim_die("no such end");
    return &ends[end];
}

int sim_ends(void) {
    int count = 0;
    for (int i = 0; i < ends_count; i++) count += ends[i].is_used && !ends[i].is_closed && ends[i].fd < 0;
    return count;
}

int end_make(int host, int fd) {
    int place;
    if (free_count > 0) {
        place = free_ends[--free_count];
    } else {
        if (ends_count == ends_room) {
            ends_room = ends_room ? ends_room * 2 : 256;
            ends = realloc(ends, (size_t)ends_room * sizeof *ends);
            if (!ends) sim_die("out of memory");
        }
        place = ends_count++;
        ends[place] = (struct end){0};
    }
    uint32_t generation = ends[place].generation + 1;
    ends[place] = (struct end){.generation = generation, .is_used = 1, .host = host, .other = no_end, .fd = fd};
    ends[place].window = sim_happens(sim_weather.small_window) ? (size_t)sim_between(300, 9000) : 256 * 1024;
    return place;
}

static void end_free(int place) {
    struct end *end = end_at(place);
    free(end->bytes);
    uint32_t generation = end->generation;
    *end = (struct end){.generation = generation};
    if (free_count == free_room) {
        free_room = free_room ? free_room * 2 : 256;
        free_ends = realloc(free_ends, (size_t)free_room * sizeof *free_ends);
        if (!free_ends) sim_die("out of memory");
    }
    free_ends[free_count++] = place;
}

void end_pair(int a, int b) {
    end_at(a)->other = b;
    end_at(b)->other = a;
}

// MARK: What is on its way

static void send_entry(int to, enum entry_kind kind, uint64_t value) {
    struct end *end = end_at(to);
    int64_t due = sim_clock;
    if (!end->is_local) {
        due += sim_between(sim_weather.latency_least, sim_weather.latency_most);
        if (sim_happens(sim_weather.late)) due += sim_between(0, sim_weather.late_most);
    }
    if (due < end->last_due) due = end->last_due;
    end->last_due = due;
    heap_add((struct entry){.due = due, .kind = kind, .end = to, .generation = end->generation, .value = value});
}

static void note(int place, enum sim_kind kind) {
    struct end *end = end_at(place);
    if (end->is_closed) return;
    if (end->fd >= 0) fd_touch(end->fd);
    else tell(kind, place, 0);
}

static void break_end(int place, int error) {
    struct end *end = end_at(place);
    if (end->has_reset) return;
    end->has_reset = 1;
    end->error = error;
    // What was on its way is lost; what has come can still be read.
    end->count = end->ready;
    note(place, sim_ended);
}

static void arrive(int place, struct entry entry) {
    struct end *end = end_at(place);
    if (end->other != no_end && is_parted(end->host, ends[end->other].host)) {
        // Held up; TCP tries again.
        entry.due = sim_clock + sim_between(200000000, 400000000);
        if (end->last_due < entry.due) end->last_due = entry.due;
        else entry.due = end->last_due;
        heap_add(entry);
        return;
    }
    switch (entry.kind) {
    case entry_data:
        if (end->has_reset) return;
        if (end->is_closed) {
            end->count -= entry.value < end->count ? entry.value : end->count;
            if (end->other != no_end) send_entry(end->other, entry_reset, 0);
            return;
        }
        if (!end->is_local && sim_happens(sim_weather.reset)) {
            break_end(place, ECONNRESET);
            if (end->other != no_end) send_entry(end->other, entry_reset, 0);
            return;
        }
        if (end->ready + entry.value > end->count) sim_die("more has come than was sent");
        end->ready += entry.value;
        note(place, sim_readable);
        return;
    case entry_finish:
        if (end->has_reset) return;
        end->has_finish = 1;
        note(place, sim_finished);
        return;
    case entry_reset:
        break_end(place, ECONNRESET);
        return;
    case entry_room:
        // What was written meanwhile may have filled it again: the next read tells of room then.
        if (!end->is_closed && !(end_readiness(place) & EPOLLOUT)) {
            end->wants_room = 1;
            return;
        }
        note(place, sim_writable);
        return;
    case entry_made:
        end->is_connecting = 0;
        note(place, sim_connected);
        return;
    case entry_refused:
        end->is_connecting = 0;
        break_end(place, ECONNREFUSED);
        return;
    default: sim_die("an entry of another kind");
    }
}

static void arrive_at_listener(struct entry entry) {
    struct end *client = &ends[entry.end];
    uint16_t port = (uint16_t)entry.value;
    struct listener *listener = listener_at(port);
    if (listener && is_parted(client->host, listener->host)) {
        entry.due = sim_clock + 1000000000;
        heap_add(entry);
        return;
    }
    if (!listener) {
        send_entry(entry.end, entry_refused, 0);
        return;
    }
    if (listener->is_deaf || listener->count >= 1024) return;
    int server = end_make(listener->host, -1);
    client = &ends[entry.end];
    end_pair(entry.end, server);
    ends[server].port = port;
    ends[server].other_port = client->port;
    send_entry(entry.end, entry_made, 0);
    if (listener->fd < 0) {
        tell(sim_accepted, server, port);
        return;
    }
    if (listener->count == listener->room) {
        listener->room = listener->room ? listener->room * 2 : 16;
        listener->waiting = realloc(listener->waiting, (size_t)listener->room * sizeof *listener->waiting);
    }
    listener->waiting[listener->count++] = server;
    fd_touch(listener->fd);
}

void streams_apply(struct entry entry) {
    if (entry.end >= ends_count || ends[entry.end].generation != entry.generation || !ends[entry.end].is_used) return;
    if (entry.kind == entry_arrival) {
        if (!ends[entry.end].is_closed) arrive_at_listener(entry);
        return;
    }
    arrive(entry.end, entry);
}

void end_connect(int place, uint16_t port) {
    static uint16_t next = 40000;
    struct end *end = end_at(place);
    end->is_connecting = 1;
    next = next >= 60000 ? 40000 : next + 1;
    end->port = next;
    end->other_port = port;
    if (sim_happens(sim_weather.unanswered)) return;
    struct entry entry = {.kind = entry_arrival, .end = place, .generation = end->generation, .value = port};
    entry.due = sim_clock + sim_between(sim_weather.latency_least, sim_weather.latency_most);
    if (sim_happens(sim_weather.refused)) entry.kind = entry_refused;
    heap_add(entry);
}

// MARK: What an end can do

size_t end_room(int place) {
    struct end *end = end_at(place);
    if (end->other == no_end) return 0;
    struct end *other = end_at(end->other);
    if (other->is_closed) return 64 * 1024; // It will hear of that.
    return other->count < other->window ? other->window - other->count : 0;
}

size_t end_write(int place, const void *bytes, size_t count) {
    struct end *end = end_at(place);
    size_t room = end_room(place);
    size_t taken = count < room ? count : room;
    if (taken > 1 && !end->is_local && sim_happens(sim_weather.partial)) taken = (size_t)sim_between(1, (int64_t)taken);
    if (taken < count) end->wants_room = 1;
    if (taken == 0) return 0;
    struct end *other = end_at(end->other);
    if (other->is_closed) {
        send_entry(place, entry_reset, 0);
        return taken;
    }
    size_t needed = other->count + taken;
    if (needed > other->room) {
        size_t room = other->room ? other->room : 512;
        while (room < needed) room *= 2;
        uint8_t *grown = malloc(room);
        if (!grown) sim_die("out of memory");
        if (other->count) memcpy(grown, other->bytes + other->start, other->count);
        free(other->bytes);
        other->bytes = grown;
        other->room = room;
        other->start = 0;
    } else if (other->start + needed > other->room) {
        memmove(other->bytes, other->bytes + other->start, other->count);
        other->start = 0;
    }
    memcpy(other->bytes + other->start + other->count, bytes, taken);
    other->count += taken;
    size_t left = taken;
    while (left > 0) {
        size_t part = left;
        if (left > 1 && !other->is_local && sim_happens(sim_weather.cut)) part = (size_t)sim_between(1, (int64_t)left);
        send_entry(end->other, entry_data, part);
        left -= part;
    }
    return taken;
}

size_t end_read(int place, void *bytes, size_t count, int peek) {
    struct end *end = end_at(place);
    size_t taken = count < end->ready ? count : end->ready;
    if (taken == 0) return 0;
    memcpy(bytes, end->bytes + end->start, taken);
    if (peek) return taken;
    end->start += taken;
    end->count -= taken;
    end->ready -= taken;
    if (end->count == 0) {
        end->start = 0;
        // An idle connection has no buffer.
        if (end->room > 64 * 1024) {
            free(end->bytes);
            end->bytes = NULL;
            end->room = 0;
        }
    }
    if (end->other != no_end) {
        struct end *other = end_at(end->other);
        if (other->wants_room && !other->is_closed && end->count * 3 <= end->window * 2) {
            other->wants_room = 0;
            send_entry(end->other, entry_room, 0);
        }
    }
    return taken;
}

uint32_t end_readiness(int place) {
    struct end *end = end_at(place);
    uint32_t mask = 0;
    if (end->is_connecting) return 0;
    if (end->ready || end->has_finish || end->has_reset) mask |= EPOLLIN;
    if (end->has_finish || end->has_reset) mask |= EPOLLRDHUP;
    if (end->has_reset || (end->has_finish && end->sent_finish)) mask |= EPOLLHUP;
    if (end->has_reset && !end->error_was_told) mask |= EPOLLERR;
    if (end->has_reset || end->sent_finish) mask |= EPOLLOUT;
    else if (end->other != no_end) {
        struct end *other = end_at(end->other);
        if (other->is_closed || other->count * 3 <= other->window * 2) mask |= EPOLLOUT;
    } else if (!end->reads_only) mask |= EPOLLOUT | EPOLLHUP;
    return mask;
}

void end_finish(int place) {
    struct end *end = end_at(place);
    if (end->sent_finish) return;
    end->sent_finish = 1;
    if (end->other != no_end && !end->has_reset) send_entry(end->other, entry_finish, 0);
}

static void let_go(int place) {
    struct end *end = end_at(place);
    int other = end->other;
    if (other == no_end || end_at(other)->is_closed) {
        if (other != no_end) end_free(other);
        end_free(place);
    }
}

void end_close(int place) {
    struct end *end = end_at(place);
    if (end->is_closed) return;
    if (end->ready > 0 && end->other != no_end && !end->has_reset) send_entry(end->other, entry_reset, 0);
    else end_finish(place);
    end->fd = -1;
    end->is_closed = 1;
    end->start = 0;
    end->ready = 0;
    free(end->bytes);
    end->bytes = NULL;
    end->room = 0;
    end->count = 0;
    if (end->other != no_end) {
        // Whoever waits for room gets it: what is sent now is lost.
        struct end *other = end_at(end->other);
        if (other->wants_room && !other->is_closed) {
            other->wants_room = 0;
            send_entry(end->other, entry_room, 0);
        }
    }
    let_go(place);
}

void end_reset(int place) {
    struct end *end = end_at(place);
    if (end->is_closed) return;
    if (end->other != no_end && !end->has_reset) send_entry(end->other, entry_reset, 0);
    end->sent_finish = 1;
    end->ready = 0;
    end_close(place);
}

// MARK: Listeners

static struct listener listeners[256];

struct listener *listener_at(uint16_t port) {
    for (int i = 0; i < 256; i++) if (listeners[i].port == port) return &listeners[i];
    return NULL;
}

struct listener *listener_of(int fd) {
    for (int i = 0; i < 256; i++) if (listeners[i].port && listeners[i].fd == fd) return &listeners[i];
    return NULL;
}

struct listener *listener_make(uint16_t port, int host, int fd) {
    struct listener *free_one = listener_at(0);
    if (!free_one) sim_die("too many listeners");
    *free_one = (struct listener){.port = port, .host = host, .fd = fd};
    return free_one;
}

void listener_end(struct listener *listener) {
    for (int i = 0; i < listener->count; i++) end_reset(listener->waiting[i]);
    free(listener->waiting);
    *listener = (struct listener){0};
}

uint16_t listener_free_port(void) {
    static uint16_t next = 20000;
    do next++; while (listener_at(next));
    return next;
}

int sim_is_listening(uint16_t port) { return listener_at(port) != NULL; }

int sim_listen(int host, uint16_t port) {
    if (listener_at(port)) return -1;
    listener_make(port, host, -1);
    return 0;
}

void sim_unlisten(uint16_t port) {
    struct listener *listener = listener_at(port);
    if (listener) listener_end(listener);
}

void sim_part(int a, int b, int value) { parted[a][b] = parted[b][a] = (uint8_t)value; }

// MARK: Peers

int sim_connect(int host, uint16_t port) {
    int end = end_make(host, -1);
    end_connect(end, port);
    return end;
}

size_t sim_write(int end, const void *bytes, size_t count) {
    struct end *at = end_at(end);
    if (at->is_closed || at->has_reset || at->sent_finish || at->is_connecting) return 0;
    return end_write(end, bytes, count);
}

size_t sim_read(int end, void *bytes, size_t count) { return end_read(end, bytes, count, 0); }
size_t sim_arriving(int end) { return end_at(end)->count; }
void sim_finish(int end) { end_finish(end); }
void sim_close(int end) { end_close(end); }
void sim_reset(int end) { end_reset(end); }

void sim_describe_end(int place, char *text, size_t size) {
    struct end *end = end_at(place);
    struct end *other = end->other == no_end ? NULL : end_at(end->other);
    snprintf(
        text, size, "end %d: %zu bytes on their way, %zu here, window %zu%s; the other: fd %d, %zu bytes on their way, %zu there, %s%s",
        place, end->count - end->ready, end->ready, end->window, end->wants_room ? ", waits for room" : "", other ? other->fd : -1,
        other ? other->count - other->ready : 0, other ? other->ready : 0, other && other->wants_room ? "waits for room" : "has room",
        other && other->fd >= 0 && fd_at(other->fd)->is_listed ? ", is to be told" : "");
}
