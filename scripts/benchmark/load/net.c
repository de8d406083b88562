#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BURST = 32, READY = 64, BACKLOG = 1024, KERNEL_BUFFER = 8 << 20, MEMINFO_DROPS = 8, MEMINFO_VALUES = 9 };

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

static const char *const NAMES[] = {"UDP", "TCP", "TLS"};

bool net_transport(const char *name, enum transport *transport) {
    for (int i = UDP; i <= TLS; i++) {
        *transport = (enum transport)i;
        if (strcasecmp(name, NAMES[i]) == 0) return true;
    }
    return false;
}

const char *net_name(enum transport transport) { return NAMES[transport]; }

static void prepare(struct side *side, enum transport transport) {
    memset(side, 0, sizeof *side);
    side->transport = transport;
    side->listener = -1;
    side->epoll = epoll_create1(EPOLL_CLOEXEC);
}

static void watch(const struct side *side, int fd, void *who) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    epoll_ctl(side->epoll, EPOLL_CTL_ADD, fd, &event);
}

struct link *net_add(struct side *side, int fd) {
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    struct link **links = realloc(side->links, (side->count + 1) * sizeof *links);
    struct link *link = calloc(1, sizeof *link);
    if (!links || !link || getsockname(fd, (struct sockaddr *)&own, &len) < 0) abort();
    side->links = links;
    side->links[side->count++] = link;
    link->fd = fd;
    link->side = side;
    link->port = ntohs(own.sin_port);
    watch(side, fd, link);
    return link;
}

/* A socket on a free port of 127.0.0.1. */
static int bound(int type) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int size = KERNEL_BUFFER, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    /* Drops here would look like the proxy's. Beyond rmem_max only root may go. */
    if (type == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

bool net_listen(struct side *side, enum transport transport) {
    socklen_t len = sizeof side->address;
    prepare(side, transport);
    int fd = bound(transport == UDP ? SOCK_DGRAM : SOCK_STREAM);
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&side->address, &len) < 0) return false;
    if (transport == UDP) return net_add(side, fd) != NULL;
    side->listener = fd;
    watch(side, fd, NULL);
    return listen(fd, BACKLOG) == 0;
}

bool net_dial(struct side *side, enum transport transport, unsigned count, const struct sockaddr_in *proxy) {
    prepare(side, transport);
    for (unsigned i = 0; i < count; i++) {
        if (transport == UDP) {
            int fd = bound(SOCK_DGRAM);
            if (fd < 0) return false;
            net_add(side, fd);
        } else if (!stream_dial(side, proxy)) {
            return false;
        }
    }
    return true;
}

void net_close(struct side *side) {
    for (unsigned i = 0; i < side->count; i++) {
        stream_close(side->links[i]);
        free(side->links[i]);
    }
    free(side->links);
    if (side->listener >= 0) close(side->listener);
    close(side->epoll);
    memset(side, 0, sizeof *side);
}

/* One system call for each message: a batch would reach the proxy as a batch, which no set of clients does. */
void net_send(struct link *link, const char *data, int len, const struct sockaddr_in *to) {
    if (link->side->transport != UDP) {
        stream_send(link, data, len);
    } else if (sendto(link->fd, data, len, 0, (const struct sockaddr *)to, sizeof *to) < 0) {
        link->side->send_errors++;
    }
}

static bool receive_datagrams(struct link *link, receive *handle, void *context) {
    static char data[BURST][LARGEST + 1];
    static struct sockaddr_in from[BURST];
    struct iovec parts[BURST];
    struct mmsghdr messages[BURST];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BURST; i++) {
        parts[i] = (struct iovec){data[i], LARGEST};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(link->fd, messages, BURST, 0, NULL);
    for (int i = 0; i < count; i++) {
        data[i][messages[i].msg_len] = '\0';
        handle(data[i], link, &from[i], context);
    }
    return count == BURST;
}

bool net_receive(struct side *side, receive *handle, void *context) {
    struct epoll_event ready[READY];
    bool more = false;
    if (side->transport == UDP && side->count == 1) return receive_datagrams(side->links[0], handle, context);
    int count = epoll_wait(side->epoll, ready, READY, 0);
    for (int i = 0; i < count; i++) {
        struct link *link = ready[i].data.ptr;
        if (!link) {
            stream_accept(side);
        } else if (side->transport == UDP) {
            more |= receive_datagrams(link, handle, context);
        } else {
            stream_receive(link, handle, context);
        }
    }
    return more || count == READY;
}

int net_fd(const struct side *side) { return side->epoll; }

unsigned net_drops(const struct side *side) {
    unsigned drops = 0;
    for (unsigned i = 0; i < side->count && side->transport == UDP; i++) {
        uint32_t values[MEMINFO_VALUES] = {0};
        socklen_t len = sizeof values;
        if (getsockopt(side->links[i]->fd, SOL_SOCKET, SO_MEMINFO, values, &len) == 0) drops += values[MEMINFO_DROPS];
    }
    return drops;
}
