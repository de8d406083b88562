/* The sockets of both user agents. UDP so far; another transport is another net.c. */
#ifndef NET_H
#define NET_H

#include <netinet/in.h>
#include <stdbool.h>

#define TRANSPORT "UDP"

enum { LARGEST = 8192 };

struct side {
    int fd;
    struct sockaddr_in address; /* where it is bound */
    unsigned send_errors;
};

/* Called with a datagram that ends in a NUL byte. */
typedef void receive(const char *data, const struct sockaddr_in *from, void *context);

/* Bind on 127.0.0.1; port 0 takes a free one. False with errno set. */
bool net_open(struct side *side, uint16_t port);

void net_send(struct side *side, const char *data, int len, const struct sockaddr_in *to);

/* Hand over what has arrived, one burst at most. True when there may be more. */
bool net_receive(struct side *side, receive *handle, void *context);

/* Datagrams that the kernel had no room for since the socket was opened. */
unsigned net_drops(const struct side *side);

#endif
