/* One run of the load: what both user agents know of it, and what they count. */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "net.h"

enum {
    TARGET_SIZE = 160,
    ROUTES_SIZE = 640,
    TO_SIZE = 160,
    STATUSES = 700,
    BODY_SIZE = 300, /* of an INFO */
    LAST_CSEQ = 4,   /* INVITE and ACK 1, INFO 2 and 3, BYE 4 */
    MAX_FORWARDS = 70,
};

/* What a proxy did wrong; a run with one of them measures some other job. */
enum fault { NO_RECORD_ROUTE, MAX_FORWARDS_KEPT, ROUTE_LEFT, WRONG_REQUEST_URI, WRONG_ROUTE_SET, NO_ACK, FAULTS };

struct call {
    uint32_t number;
    uint8_t awaits;     /* UAC: CSeq number of the request under way; 0 when the call has ended */
    bool timed_out;
    bool trying;        /* UAC: 100 seen */
    uint8_t seen;       /* UAS: bit for each CSeq number */
    bool acked;         /* UAS */
    int64_t started;    /* nanoseconds */
    struct link *link;  /* UAC: what its requests go out over */
    struct sockaddr_in next_hop; /* with UDP */
    char to[TO_SIZE];   /* the dialog: remote tag, remote target, route set (§12.1.2) */
    char target[TARGET_SIZE];
    char routes[ROUTES_SIZE];
};

/* All of calls that started after the warm-up, but for `finished_in_window` and `stray`. */
struct counts {
    unsigned completed, timed_out, rejected, late, trying;
    unsigned retransmitted_requests, retransmitted_responses;
    unsigned statuses[STATUSES], faults[FAULTS];
    unsigned finished_in_window; /* whenever they started: what the CPU time of the window was spent on */
    unsigned stray;              /* messages of no call of this run */
};

struct run {
    uint32_t id, total, first_measured, mask;
    enum transport callers; /* and the number of their sockets */
    unsigned sockets;
    bool direct, in_window;
    int64_t now;
    struct side *uac, *uas;
    struct sockaddr_in proxy;
    struct call *calls;
    uint32_t *latencies; /* microseconds, INVITE to 200 */
    unsigned latency_count;
    struct counts counts;
};

/* The call of a message; null when there is none, which is counted. */
struct call *run_find(struct run *run, uint32_t id, uint32_t number);

/* Add one to a counter if the call counts. */
void run_count(const struct run *run, const struct call *call, unsigned *counter);

void uac_invite(struct run *run, uint32_t number);
receive uac_receive; /* context: struct run */
receive uas_receive; /* context: struct run */

#endif
