/*
 * The load of scripts/bench: caller and pool server in one process and one thread, so that they take as little of the
 * machine as can be. Reads commands on standard input, one for each line, until it ends:
 *
 *     run PORT RATE WARM_UP SECONDS TIMEOUT     PORT of the proxy on 127.0.0.1, 0 for the UAS itself; calls a second
 *
 * and writes to standard output: "port N" (of the UAS) once, then for each run "measuring" when the warm-up is over,
 * "measured" when the last call has been started, and a line of JSON when all calls have ended or timed out.
 *
 * It is started as `load CALLERS POOL SOCKETS`: the transports of both ends (udp, tcp, tls) and how many sockets, or
 * connections, the callers have between them; those are opened for each run.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

#define NANO 1000000000LL

enum { MAX_SOCKETS = 1000, MAX_RATE = 20000, MAX_SECONDS = 600, MAX_TIMEOUT = 10, BURST = 32 };

static const char *const FAULT_NAMES[FAULTS] = {
    "no_record_route", "max_forwards_kept", "route_left", "wrong_request_uri", "wrong_route_set", "no_ack"};

struct pace {
    int64_t start, window, end, timeout; /* nanoseconds */
    double interval;
    uint32_t next, oldest;
    bool measuring, measured;
    double lag; /* nanoseconds that the latest call was late, at most */
    double cpu; /* seconds of ours in the window */
};

static int64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NANO + now.tv_nsec;
}

static double cpu_used(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct call *run_find(struct run *run, uint32_t id, uint32_t number) {
    struct call *call = run->calls ? &run->calls[number & run->mask] : NULL;
    if (!call || id != run->id || number >= run->total || call->number != number || !call->started) {
        run->counts.stray++;
        return NULL;
    }
    return call;
}

void run_count(const struct run *run, const struct call *call, unsigned *counter) {
    if (call->number >= run->first_measured) ++*counter;
}

static int64_t due(const struct pace *pace, uint32_t number) {
    return pace->start + (int64_t)(pace->interval * number);
}

static void start_calls(struct run *run, struct pace *pace) {
    for (int i = 0; i < BURST && pace->next < run->total && due(pace, pace->next) <= run->now; i++) {
        double late = (double)(run->now - due(pace, pace->next));
        if (pace->next >= run->first_measured && late > pace->lag) pace->lag = late;
        uac_invite(run, pace->next++);
        run->now = clock_now();
    }
}

static void end_old_calls(struct run *run, struct pace *pace) {
    for (; pace->oldest < pace->next; pace->oldest++) {
        struct call *call = &run->calls[pace->oldest & run->mask];
        if (call->awaits && run->now - call->started < pace->timeout) return;
        if (!call->awaits) continue;
        call->awaits = 0;
        call->timed_out = true;
        run_count(run, call, &run->counts.timed_out);
    }
}

static void mark(struct run *run, struct pace *pace) {
    if (!pace->measuring && run->now >= pace->window) {
        pace->measuring = run->in_window = true;
        pace->cpu = cpu_used();
        puts("measuring");
    }
    if (!pace->measured && run->now >= pace->end) {
        pace->measured = true;
        run->in_window = false;
        pace->cpu = cpu_used() - pace->cpu;
        puts("measured");
    }
}

/* When there is something to do again without a message: a call to start, the end of the window, a call to give up. */
static int64_t next_event(const struct run *run, const struct pace *pace) {
    int64_t at = pace->measured ? run->now : pace->measuring ? pace->end : pace->window;
    if (pace->next < run->total && due(pace, pace->next) < at) at = due(pace, pace->next);
    if (pace->oldest < pace->next) {
        int64_t give_up = run->calls[pace->oldest & run->mask].started + pace->timeout;
        if (pace->measured || give_up < at) at = give_up;
    }
    return at;
}

/* Which of the two sides has something to read, or may have: after so much time, if nothing comes before. */
static void wait_for(const struct run *run, int64_t nanoseconds, bool *uac, bool *uas) {
    struct pollfd fds[] = {{.fd = net_fd(run->uac), .events = POLLIN}, {.fd = net_fd(run->uas), .events = POLLIN}};
    struct timespec timeout = {nanoseconds / NANO, nanoseconds % NANO};
    ppoll(fds, 2, &timeout, NULL);
    *uac = fds[0].revents;
    *uas = fds[1].revents;
}

static void place_calls(struct run *run, struct pace *pace) {
    bool uac = true, uas = true;
    while (pace->oldest < run->total || !pace->measured) {
        bool more = uas && net_receive(run->uas, uas_receive, run);
        run->now = clock_now();
        more |= uac && net_receive(run->uac, uac_receive, run);
        run->now = clock_now();
        start_calls(run, pace);
        end_old_calls(run, pace);
        mark(run, pace);
        int64_t left = next_event(run, pace) - clock_now();
        uac = uas = true;
        if (!more && left > 0) wait_for(run, left, &uac, &uas);
    }
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static double latency(const struct run *run, double share) {
    if (!run->latency_count) return 0;
    unsigned at = (unsigned)(share * run->latency_count);
    return run->latencies[at < run->latency_count ? at : run->latency_count - 1] / 1000.0;
}

static void print_statuses(const struct counts *counts) {
    const char *comma = "";
    for (int status = 300; status < STATUSES; status++) {
        if (!counts->statuses[status]) continue;
        printf("%s\"%d\": %u", comma, status, counts->statuses[status]);
        comma = ", ";
    }
}

static void print_results(struct run *run, const struct pace *pace, unsigned drops) {
    const struct counts *counts = &run->counts;
    qsort(run->latencies, run->latency_count, sizeof *run->latencies, compare);
    printf("{\"calls\": %u, \"completed\": %u, \"timed_out\": %u, \"rejected\": %u, \"late\": %u, \"trying\": %u, ",
           run->total - run->first_measured, counts->completed, counts->timed_out, counts->rejected, counts->late,
           counts->trying);
    printf("\"retransmitted_requests\": %u, \"retransmitted_responses\": %u, \"stray\": %u, ",
           counts->retransmitted_requests, counts->retransmitted_responses, counts->stray);
    printf("\"finished_in_window\": %u, \"window\": %.6f, \"generator_cpu\": %.4f, \"lag_ms\": %.3f, ",
           counts->finished_in_window, (double)(pace->end - pace->window) / 1e9, pace->cpu, pace->lag / 1e6);
    printf("\"generator_drops\": %u, \"send_errors\": %u, \"lost_connections\": %u, ", drops,
           run->uac->send_errors + run->uas->send_errors, run->uac->lost);
    printf("\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"faults\": {",
           latency(run, 0.5), latency(run, 0.9), latency(run, 0.99), latency(run, 1));
    for (int i = 0; i < FAULTS; i++) printf("%s\"%s\": %u", i ? ", " : "", FAULT_NAMES[i], counts->faults[i]);
    printf("}, \"statuses\": {");
    print_statuses(counts);
    puts("}}");
}

static uint32_t slots_for(unsigned rate, unsigned timeout) {
    uint32_t slots = 1024;
    while (slots < (timeout + 1) * rate) slots *= 2;
    return slots;
}

static void execute(struct run *run, unsigned rate, unsigned warm_up, unsigned seconds,
                    unsigned timeout) {
    static uint32_t ids;
    unsigned drops = net_drops(run->uas);
    struct pace pace = {.interval = (double)NANO / rate, .timeout = timeout * NANO};
    memset(&run->counts, 0, sizeof run->counts);
    run->uas->send_errors = 0;
    run->id = ((uint32_t)getpid() << 12) + ++ids;
    run->first_measured = warm_up * rate;
    run->total = run->first_measured + seconds * rate;
    run->mask = slots_for(rate, timeout) - 1;
    run->calls = calloc(run->mask + 1, sizeof *run->calls);
    run->latencies = calloc(seconds * rate, sizeof *run->latencies);
    run->latency_count = 0;
    if (!run->calls || !run->latencies) exit(1);
    pace.start = clock_now() + NANO / 1000;
    pace.window = pace.start + warm_up * NANO;
    pace.end = pace.window + seconds * NANO;
    place_calls(run, &pace);
    print_results(run, &pace, net_drops(run->uac) + net_drops(run->uas) - drops);
    free(run->calls);
    free(run->latencies);
    run->calls = NULL;
}

static bool obey(struct run *run, const char *line) {
    unsigned port, rate, warm_up, seconds, timeout;
    if (sscanf(line, "run %u %u %u %u %u", &port, &rate, &warm_up, &seconds, &timeout) != 5 || port > 65535 ||
        rate < 1 || rate > MAX_RATE || warm_up > MAX_SECONDS || seconds < 1 || seconds > MAX_SECONDS || timeout < 1 ||
        timeout > MAX_TIMEOUT) {
        fprintf(stderr, "load: want \"run PORT RATE WARM_UP SECONDS TIMEOUT\", got: %s", line);
        return false;
    }
    run->direct = port == 0;
    run->proxy = run->uas->address;
    if (port) run->proxy.sin_port = htons((uint16_t)port);
    if (!net_dial(run->uac, run->callers, run->sockets, &run->proxy)) {
        fprintf(stderr, "load: no connection to port %u: %s\n", port, errno ? strerror(errno) : "TLS failed");
        return false;
    }
    execute(run, rate, warm_up, seconds, timeout);
    net_close(run->uac);
    return true;
}

/* Between runs, proxies that look whether the pool is there get their answer. */
static bool wait_for_command(struct run *run) {
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = net_fd(run->uas), .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return false;
        while (net_receive(run->uas, uas_receive, run)) continue;
        if (fds[0].revents) return true;
    }
}

int main(int count, char **arguments) {
    struct side uac, uas;
    struct run run = {.uac = &uac, .uas = &uas};
    enum transport pool;
    char line[128];
    if (count != 4 || !net_transport(arguments[1], &run.callers) || !net_transport(arguments[2], &pool) ||
        pool == TLS || (run.sockets = (unsigned)atoi(arguments[3])) < 1 || run.sockets > MAX_SOCKETS) {
        fprintf(stderr, "usage: load udp|tcp|tls udp|tcp SOCKETS\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing goes on without the bench */
    prctl(PR_SET_TIMERSLACK, 1);      /* nanosecond; by default a call starts 50 us late */
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* or poll would not see a command that stdio has read ahead */
    if (!net_listen(&uas, pool)) {
        fprintf(stderr, "load: no socket: %s\n", strerror(errno));
        return 1;
    }
    printf("port %d\n", ntohs(uas.address.sin_port));
    while (wait_for_command(&run) && fgets(line, sizeof line, stdin)) {
        if (!obey(&run, line)) return 2;
    }
    return 0;
}
