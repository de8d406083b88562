/* Just enough of RFC 3261 for both user agents of the load: the headers that they act on, as spans of the datagram. */
#ifndef SIP_H
#define SIP_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_VIAS = 8, MAX_ROUTES = 8 };

struct span {
    const char *at;
    int len;
};

struct message {
    int status;         /* 0 in a request */
    struct span method; /* the method of CSeq */
    struct span uri;    /* Request-URI; empty in a response */
    struct span call_id, from, to, cseq;
    struct span contact; /* the URI inside the angle brackets */
    struct span via[MAX_VIAS], record_route[MAX_ROUTES];
    int vias, record_routes, routes;
    int max_forwards; /* -1: none */
    unsigned cseq_number;
    uint32_t run, call; /* read out of the Call-ID, which is "RUN-CALL@..." in hexadecimal digits */
};

/* Read a datagram that ends in a NUL byte. False when it is no message, or lacks what every message has (§8.1.1). */
bool sip_parse(const char *data, struct message *message);

bool span_is(struct span span, const char *text);

/* The URI in the angle brackets of a Record-Route value; empty when there are none. */
struct span uri_in(struct span value);

/* Host and port of a sip: URI whose host is an IPv4 address, in network byte order. False for any other. */
bool uri_address(struct span uri, uint32_t *host, uint16_t *port);

#endif
