// A kernel that holds the clock, the sockets and the dice of one thread.
//
// On the thread that called `sim_start`, the C library's functions for time, randomness, sockets, pipes, epoll and eventfd are
// these. Everything else, and every other thread, gets the real ones. What runs on simulated descriptors (the program under test)
// knows nothing of it; peers that the simulator plays are ends of connections without a descriptor.
#pragma once
#include <stddef.h>
#include <stdint.h>

// MARK: The clock and the dice

/// Has the calling thread see this kernel. Everything that it does follows from the seed.
void sim_start(uint64_t seed);
/// The next number of the dice.
uint64_t sim_dice(void);
/// Nanoseconds of the monotonic clock.
int64_t sim_now(void);
/// A number that depends on every system call so far, and on the clock: two runs of a seed agree in it.
uint64_t sim_digest(void);
void sim_digest_add(uint64_t value);

/// How kind the world is. Times in nanoseconds, odds in 65536ths.
struct sim_weather {
    int64_t latency_least, latency_most; // of a segment
    uint32_t cut;                        // that a segment is cut once more
    uint32_t partial;                    // that a write is taken in part
    uint32_t small_window;               // that a connection has a small window
    uint32_t refused, unanswered;        // of a connect, though somebody listens
    uint32_t reset;                      // of a segment: both ends get a reset in its place
    uint32_t late;                       // of a segment: up to `late_most` later
    int64_t late_most;
    int64_t wake_most;                   // how late a loop wakes
    int64_t call_most;                   // what a system call takes
    uint32_t stall;                      // of a system call: up to `stall_most`
    int64_t stall_most;
    uint32_t shuffled;                   // that epoll tells in another order
};
void sim_set_weather(struct sim_weather weather);

// MARK: Hosts

enum { sim_hosts = 32 };
/// Whose system calls follow.
void sim_use_host(int host);
/// How many descriptors a host may have.
void sim_set_descriptors(int host, int count);
/// How many it has.
int sim_descriptors(int host);
/// What its wall clock is ahead of others.
void sim_set_skew(int host, int64_t nanoseconds);
/// Holds up everything between two hosts, or lets it through again.
void sim_part(int a, int b, int is_parted);
/// Ends a host as SIGKILL does: all its descriptors are closed, its loops never run again.
void sim_kill(int host);
/// Text of the descriptors that a host has.
void sim_list_descriptors(int host, char *text, size_t size);

// MARK: Loops

/// The event base that was made last; it belongs to the host that made it.
void *sim_last_base(void);
/// Runs a base until it would sleep, or for a good while.
void sim_run(void *base);
/// Whether the program has ended the loop of a base.
int sim_is_stopped(void *base);
/// Has a base run soon, whatever its descriptors say.
void sim_wake(void *base);
/// Events that a base waits for.
int sim_events(void *base);
/// The most turns that a base had without sleeping.
int sim_most_turns(void);

// MARK: Peers

/// 0, or -1 where the port is taken.
int sim_listen(int host, uint16_t port);
/// Nobody is heard there any more.
void sim_unlisten(uint16_t port);
/// An end; `sim_connected` or `sim_ended` is told of it.
int sim_connect(int host, uint16_t port);
/// How much of it was taken.
size_t sim_write(int end, const void *bytes, size_t count);
/// How much there was.
size_t sim_read(int end, void *bytes, size_t count);
/// How much is here or on its way, and was not read.
size_t sim_arriving(int end);
void sim_finish(int end);
void sim_close(int end);
void sim_reset(int end);
/// Whether the port is listened on by anybody.
int sim_is_listening(uint16_t port);

enum sim_kind {
    sim_nothing,   // never again
    sim_timer,     // `value` is its token
    sim_base,      // `base` is to run
    sim_accepted,  // `end` is new, `value` is the port
    sim_connected, // `end`
    sim_readable,  // `end` has bytes
    sim_writable,  // `end` takes bytes again
    sim_finished,  // the other side of `end` sends no more
    sim_ended,     // `end` was reset, or could not be made
};
struct sim_event {
    enum sim_kind kind;
    int end;
    uint64_t value;
    void *base;
};
/// Has `sim_next` tell of a token at a time.
void sim_set_timer(int64_t at, uint64_t token);
/// What comes next, and moves the clock there. Nothing later than `until`.
struct sim_event sim_next(int64_t until);
/// Ends that peers have.
int sim_ends(void);

/// Starts a real thread for what the program would have had one: the writer of the log, to read its last words.
void sim_let_threads_run(void);

/// Starts the program anew, once, with memory at the same addresses and tables in the same order each time.
void sim_fix_addresses(char *const *arguments);
/// Runs something on a stack that is at the same addresses in each run, and returns when it has.
void sim_on_own_stack(void (*body)(void *), void *context);
/// A file without a name, that only its owner may read; -1 where there can be none.
int sim_memory_file(void);
/// What state an end is in, for people.
void sim_describe_end(int end, char *text, size_t size);
/// Prints the last system calls and what came to the program.
void sim_print_calls(void);
