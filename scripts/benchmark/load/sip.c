#include "sip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool span_is(struct span span, const char *text) {
    return span.len == (int)strlen(text) && memcmp(span.at, text, span.len) == 0;
}

struct span uri_in(struct span value) {
    const char *open = memchr(value.at, '<', value.len);
    const char *end = value.at + value.len;
    const char *close = open ? memchr(open, '>', end - open) : NULL;
    return close ? (struct span){open + 1, (int)(close - open - 1)} : (struct span){value.at, 0};
}

bool uri_address(struct span uri, uint32_t *host, uint16_t *port) {
    char text[64];
    const char *start = uri.at + 4, *end = uri.at + uri.len;
    if (uri.len < 4 || strncasecmp(uri.at, "sip:", 4) != 0) return false;
    const char *at = memchr(start, '@', end - start);
    if (at) start = at + 1;
    size_t len = 0;
    while (start + len < end && len < sizeof text - 1 && !strchr(";:?>", start[len])) len++;
    memcpy(text, start, len);
    text[len] = '\0';
    *port = htons(start + len < end && start[len] == ':' ? (uint16_t)atoi(start + len + 1) : 5060);
    return inet_pton(AF_INET, text, host) == 1;
}

/* Values of Record-Route may share a header line, separated by commas (§7.3.1). */
static void add_routes(struct span line, struct message *message) {
    const char *start = line.at, *end = line.at + line.len;
    bool bracketed = false;
    for (const char *at = start; at <= end; at++) {
        if (at < end && *at == '<') bracketed = true;
        if (at < end && *at == '>') bracketed = false;
        if (at < end && (*at != ',' || bracketed)) continue;
        while (start < at && *start == ' ') start++;
        if (message->record_routes < MAX_ROUTES) {
            message->record_route[message->record_routes++] = (struct span){start, (int)(at - start)};
        }
        start = at + 1;
    }
}

static void add_cseq(struct span value, struct message *message) {
    char *end;
    message->cseq = value;
    message->cseq_number = (unsigned)strtoul(value.at, &end, 10);
    while (*end == ' ') end++;
    message->method = (struct span){end, (int)(value.at + value.len - end)};
}

static void add_call_id(struct span value, struct message *message) {
    unsigned run, call;
    message->call_id = value;
    if (sscanf(value.at, "%8x-%8x@", &run, &call) == 2) {
        message->run = run;
        message->call = call;
    }
}

static bool named(struct span name, const char *text, char compact) {
    if (name.len == 1) return compact && (name.at[0] | 0x20) == compact;
    return name.len == (int)strlen(text) && strncasecmp(name.at, text, name.len) == 0;
}

static void add_header(struct span name, struct span value, struct message *message) {
    if (named(name, "Via", 'v')) {
        if (message->vias < MAX_VIAS) message->via[message->vias++] = value;
    } else if (named(name, "From", 'f')) {
        message->from = value;
    } else if (named(name, "To", 't')) {
        message->to = value;
    } else if (named(name, "Call-ID", 'i')) {
        add_call_id(value, message);
    } else if (named(name, "CSeq", 0)) {
        add_cseq(value, message);
    } else if (named(name, "Contact", 'm')) {
        message->contact = uri_in(value);
    } else if (named(name, "Record-Route", 0)) {
        add_routes(value, message);
    } else if (named(name, "Route", 0)) {
        message->routes++;
    } else if (named(name, "Max-Forwards", 0)) {
        message->max_forwards = atoi(value.at);
    }
}

static bool add_start_line(struct span line, struct message *message) {
    if (line.len > 12 && memcmp(line.at, "SIP/2.0 ", 8) == 0) {
        message->status = atoi(line.at + 8);
        return message->status >= 100;
    }
    const char *uri = memchr(line.at, ' ', line.len);
    if (!uri) return false;
    uri++;
    const char *end = memchr(uri, ' ', line.at + line.len - uri);
    if (!end) return false;
    message->uri = (struct span){uri, (int)(end - uri)};
    return true;
}

bool sip_parse(const char *data, struct message *message) {
    memset(message, 0, sizeof *message);
    message->max_forwards = -1;
    const char *end = strstr(data, "\r\n");
    if (!end || !add_start_line((struct span){data, (int)(end - data)}, message)) return false;
    for (const char *line = end + 2; (end = strstr(line, "\r\n")) && end != line; line = end + 2) {
        const char *colon = memchr(line, ':', end - line);
        if (!colon) return false;
        const char *value = colon + 1;
        while (value < end && *value == ' ') value++;
        add_header((struct span){line, (int)(colon - line)}, (struct span){value, (int)(end - value)}, message);
    }
    return message->vias && message->call_id.len && message->from.len && message->to.len && message->method.len;
}
