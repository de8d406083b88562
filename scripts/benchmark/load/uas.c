/* The pool's server: answers everything with 200 at once, and looks whether the proxy did its part. */
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "sip.h"

static const char SDP[] =
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 5060 sip null\r\n"
    "a=accept-types:text/plain\r\n";

struct text {
    char at[LARGEST];
    int len;
};

static void add(struct text *text, const char *name, struct span value) {
    int room = LARGEST - text->len;
    int len = snprintf(text->at + text->len, room, "%s%.*s\r\n", name, value.len, value.at);
    if (len < room) text->len += len;
}

static void add_text(struct text *text, const char *name, const char *value) {
    add(text, name, (struct span){value, (int)strlen(value)});
}

static void add_contact(struct text *text, const struct side *uas) {
    char contact[80];
    snprintf(contact, sizeof contact, "<sip:ocschat@127.0.0.1:%d;transport=%s>", ntohs(uas->address.sin_port),
             net_name(uas->transport));
    add_text(text, "Contact: ", contact);
}

/* §8.2.6.2; to where the request came from, or over what: there a proxy on loopback has its Via (§18.2.2). */
static void respond(struct link *link, const struct message *message, const char *status,
                    const struct sockaddr_in *to) {
    static struct text text;
    bool invite = span_is(message->method, "INVITE");
    text.len = 0;
    add_text(&text, "SIP/2.0 ", status);
    for (int i = 0; i < message->vias; i++) add(&text, "Via: ", message->via[i]);
    for (int i = 0; i < message->record_routes; i++) add(&text, "Record-Route: ", message->record_route[i]);
    add(&text, "From: ", message->from);
    add(&text, "To: ", message->to);
    if (!memmem(message->to.at, message->to.len, ";tag=", 5)) {
        text.len -= 2;
        add_text(&text, ";tag=", "BCC5A3C2F30541E8");
    }
    add(&text, "Call-ID: ", message->call_id);
    add(&text, "CSeq: ", message->cseq);
    if (invite) {
        char length[16];
        snprintf(length, sizeof length, "%d", (int)strlen(SDP));
        add_contact(&text, link->side);
        add_text(&text, "Content-Type: ", "application/sdp");
        add_text(&text, "Content-Length: ", length);
        add_text(&text, "\r\n", SDP);
        text.len -= 2;
    } else {
        add_text(&text, "Content-Length: ", "0\r\n");
    }
    net_send(link, text.at, text.len, to);
}

static void check(struct run *run, const struct call *call, const struct message *message) {
    unsigned *faults = run->counts.faults;
    bool invite = message->cseq_number == 1 && span_is(message->method, "INVITE");
    uint32_t host;
    uint16_t port;
    if (invite && !message->record_routes) run_count(run, call, &faults[NO_RECORD_ROUTE]);
    if (message->max_forwards != MAX_FORWARDS - 1) run_count(run, call, &faults[MAX_FORWARDS_KEPT]);
    if (message->routes) run_count(run, call, &faults[ROUTE_LEFT]);
    if (!invite && !(uri_address(message->uri, &host, &port) && port == run->uas->address.sin_port)) {
        run_count(run, call, &faults[WRONG_REQUEST_URI]);
    }
}

static void acknowledged(struct run *run, struct call *call) {
    if (call->acked) run_count(run, call, &run->counts.retransmitted_requests);
    call->acked = true;
}

static void requested(struct run *run, struct call *call, const struct message *message) {
    uint8_t bit = (uint8_t)(1u << message->cseq_number);
    if (call->seen & bit) run_count(run, call, &run->counts.retransmitted_requests);
    call->seen |= bit;
    if (message->cseq_number == LAST_CSEQ && !call->acked) run_count(run, call, &run->counts.faults[NO_ACK]);
}

void uas_receive(const char *data, struct link *link, const struct sockaddr_in *from, void *context) {
    struct run *run = context;
    struct message message;
    if (!sip_parse(data, &message) || message.status) return;
    bool ack = span_is(message.method, "ACK");
    if (span_is(message.method, "OPTIONS")) { /* a proxy that looks whether we are there */
        respond(link, &message, "200 OK", from);
        return;
    }
    struct call *call = run_find(run, message.run, message.call);
    if (!call || message.cseq_number < 1 || message.cseq_number > LAST_CSEQ) {
        if (!ack) respond(link, &message, "481 Call/Transaction Does Not Exist", from);
        return;
    }
    if (!run->direct) check(run, call, &message);
    if (ack) {
        acknowledged(run, call);
        return;
    }
    requested(run, call, &message);
    respond(link, &message, "200 OK", from);
}
