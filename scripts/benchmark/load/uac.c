/* The caller, as a legacy client's lookup call goes: INVITE, ACK, INFO, INFO, BYE. It never retransmits. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "sip.h"

static const char SDP[] =
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 15060 sip null\r\n"
    "a=accept-types:text/plain text/html image/gif application/im-iscomposing+xml application/ms-imdn+xml\r\n";

/* An XCCOS command of BODY_SIZE bytes, made up to that by what it searches for. */
static const char *xccos(void) {
    static char body[BODY_SIZE + 1];
    static const char head[] =
        "<xccos ver=\"1\" envid=\"7962449779256945056\" xmlns=\"urn:parlano:xml:ns:xccos\">"
        "<cmd id=\"cmd:chansrch\" seqid=\"1\"><data><qib qtype=\"BYNAME\" extended=\"false\" criteria=\"";
    static const char tail[] = "\"/></data></cmd></xccos>";
    if (!body[0]) {
        memset(body, 'x', BODY_SIZE);
        memcpy(body, head, sizeof head - 1);
        memcpy(body + BODY_SIZE - (sizeof tail - 1), tail, sizeof tail - 1);
    }
    return body;
}

static const char *method_of(unsigned cseq) {
    return cseq == 1 ? "INVITE" : cseq == LAST_CSEQ ? "BYE" : "INFO";
}

/* An ACK has the CSeq number of its INVITE; for a refusal also the branch (§17.1.1.3), given by `hop` 1. */
static void send_request(struct run *run, struct call *call, const char *method, unsigned cseq, unsigned hop) {
    char out[LARGEST];
    const char *name = net_name(run->uac->transport);
    bool invite = method[0] == 'I' && cseq == 1;
    const char *body = invite ? SDP : method[0] == 'I' ? xccos() : "";
    const char *type = invite         ? "Content-Type: application/sdp\r\n"
                       : body[0]      ? "Content-Type: text/plain;charset=UTF-8\r\n"
                                      : "";
    int port = call->link->port, user = (int)(call->number % 1000);
    int len = snprintf(
        out, sizeof out,
        "%s %s SIP/2.0\r\n"
        "Via: SIP/2.0/%s 127.0.0.1:%d;branch=z9hG4bK%08x%08x%u\r\n"
        "%s"
        "From: <sip:user%d@contoso.com>;tag=%08x;epid=b34afb6e%04x\r\n"
        "To: %s\r\n"
        "Max-Forwards: %d\r\n"
        "CSeq: %u %s\r\n"
        "User-Agent: bench/1 (legacy client)\r\n"
        "Call-ID: %08x-%08x@bench.contoso.com\r\n"
        "Supported: ms-sender\r\n"
        "Contact: <sip:user%d@127.0.0.1:%d;transport=%s>\r\n"
        "%s"
        "Content-Length: %d\r\n\r\n%s",
        method, call->target, name, port, run->id, call->number, hop, call->routes, user, call->number, (unsigned)user,
        call->to, MAX_FORWARDS, cseq, method, run->id, call->number, user, port, name, type, (int)strlen(body), body);
    net_send(call->link, out, len, &call->next_hop);
}

void uac_invite(struct run *run, uint32_t number) {
    struct call *call = &run->calls[number & run->mask];
    memset(call, 0, offsetof(struct call, to));
    call->number = number;
    call->started = run->now;
    call->awaits = 1;
    call->link = run->uac->links[number % run->uac->count];
    call->next_hop = run->proxy;
    call->routes[0] = '\0';
    strcpy(call->to, "<sip:ocschat@contoso.com>");
    strcpy(call->target, "sip:ocschat@contoso.com");
    send_request(run, call, "INVITE", 1, 1);
}

static bool keep(char *field, int size, struct span value) {
    if (value.len <= 0 || value.len >= size) return false;
    memcpy(field, value.at, value.len);
    field[value.len] = '\0';
    return true;
}

/* The next hop is the first route, else the remote target. A name instead of an address is the proxy's (outbound proxy). */
static bool take_dialog(struct run *run, struct call *call, const struct message *message) {
    int len = 0;
    for (int i = message->record_routes - 1; i >= 0; i--) { /* the caller's order is the reverse (§12.1.2) */
        struct span value = message->record_route[i];
        if (len + value.len + 16 > ROUTES_SIZE) return false;
        len += snprintf(call->routes + len, ROUTES_SIZE - len, "Route: %.*s\r\n", value.len, value.at);
    }
    if (!keep(call->to, TO_SIZE, message->to) || !keep(call->target, TARGET_SIZE, message->contact)) return false;
    if (!message->record_routes) {
        return run->direct &&
               uri_address(message->contact, &call->next_hop.sin_addr.s_addr, &call->next_hop.sin_port);
    }
    struct span first = uri_in(message->record_route[message->record_routes - 1]);
    uint32_t host;
    uint16_t port;
    if (uri_address(first, &host, &port)) {
        call->next_hop.sin_addr.s_addr = host;
        call->next_hop.sin_port = port;
    }
    return memmem(first.at, first.len, ";lr", 3) != NULL; /* a strict router is none of ours */
}

static void refused(struct run *run, struct call *call, const struct message *message) {
    run_count(run, call, &run->counts.rejected);
    if (message->status < STATUSES) run_count(run, call, &run->counts.statuses[message->status]);
    if (call->awaits == 1) {
        keep(call->to, TO_SIZE, message->to);
        send_request(run, call, "ACK", 1, 1);
    }
    call->awaits = 0;
}

static void answered(struct run *run, struct call *call, const struct message *message) {
    if (call->awaits == 1) {
        if (call->number >= run->first_measured) {
            run->latencies[run->latency_count++] = (uint32_t)((run->now - call->started) / 1000);
        }
        if (!take_dialog(run, call, message)) {
            run_count(run, call, &run->counts.faults[WRONG_ROUTE_SET]);
            call->awaits = 0;
            return;
        }
        send_request(run, call, "ACK", 1, LAST_CSEQ + 1);
    }
    if (call->awaits < LAST_CSEQ) {
        call->awaits++;
        send_request(run, call, method_of(call->awaits), call->awaits, call->awaits);
        return;
    }
    call->awaits = 0;
    run_count(run, call, &run->counts.completed);
    if (run->in_window) run->counts.finished_in_window++;
}

static void provisional(struct run *run, struct call *call, const struct message *message) {
    if (message->status != 100) return;
    run_count(run, call, call->trying ? &run->counts.retransmitted_responses : &run->counts.trying);
    call->trying = true;
}

void uac_receive(const char *data, struct link *link, const struct sockaddr_in *from, void *context) {
    struct run *run = context;
    struct message message;
    (void)link, (void)from;
    if (!sip_parse(data, &message) || !message.status) {
        run->counts.stray++;
        return;
    }
    struct call *call = run_find(run, message.run, message.call);
    if (!call) return;
    if (message.status < 200) {
        provisional(run, call, &message);
    } else if (call->timed_out) {
        run_count(run, call, &run->counts.late);
    } else if (message.cseq_number != call->awaits) {
        run_count(run, call, &run->counts.retransmitted_responses);
    } else if (message.status >= 300) {
        refused(run, call, &message);
    } else {
        answered(run, call, &message);
    }
}
