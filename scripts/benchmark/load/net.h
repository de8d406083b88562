/* The sockets of both user agents: UDP, or TCP and TLS with messages cut from the stream (§18.3). */
#ifndef NET_H
#define NET_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>

enum { LARGEST = 8192 };

enum transport { UDP, TCP, TLS };

/* One socket: of UDP, or one connection. */
struct link {
    int fd; /* -1 when the connection is gone */
    uint16_t port; /* our own */
    struct side *side;
    SSL *ssl;     /* TLS only */
    char *unread; /* streams only: what is not a whole message yet */
    int unread_len;
};

struct side {
    enum transport transport;
    struct sockaddr_in address; /* where the pool listens */
    int epoll, listener;
    struct link **links;
    unsigned count, lost; /* links, and those of them that the other side has closed */
    unsigned send_errors;
};

/* Called with a message that ends in a NUL byte, with what it came over and, with UDP, from. */
typedef void receive(const char *data, struct link *link, const struct sockaddr_in *from, void *context);

/* "udp", "tcp" or "tls"; as it is written in Via. */
bool net_transport(const char *name, enum transport *transport);
const char *net_name(enum transport transport);

/* The pool: wait on a free port of 127.0.0.1. False with errno set. */
bool net_listen(struct side *side, enum transport transport);

/* The callers: so many sockets, or connections to the proxy. False with errno set, 0 when TLS failed. */
bool net_dial(struct side *side, enum transport transport, unsigned count, const struct sockaddr_in *proxy);

void net_close(struct side *side);

void net_send(struct link *link, const char *data, int len, const struct sockaddr_in *to);

/* Hand over what has arrived, one burst at most. True when there may be more. */
bool net_receive(struct side *side, receive *handle, void *context);

/* What poll tells that something has arrived. */
int net_fd(const struct side *side);

/* Datagrams that the kernel had no room for since the sockets were opened. */
unsigned net_drops(const struct side *side);

/* A link on a socket that is open already; watched, unless there is no more memory. */
struct link *net_add(struct side *side, int fd);

/* stream.c */
bool stream_dial(struct side *side, const struct sockaddr_in *to);
void stream_accept(struct side *side);
void stream_send(struct link *link, const char *data, int len);
void stream_receive(struct link *link, receive *handle, void *context);
void stream_close(struct link *link);

#endif
