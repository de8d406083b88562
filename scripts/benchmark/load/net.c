#include "net.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

enum { BURST = 32, KERNEL_BUFFER = 8 << 20, MEMINFO_DROPS = 8, MEMINFO_VALUES = 9 };

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

bool net_open(struct side *side, uint16_t port) {
    int size = KERNEL_BUFFER;
    socklen_t len = sizeof side->address;
    memset(side, 0, sizeof *side);
    side->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (side->fd < 0) return false;
    /* Drops here would look like the proxy's. Beyond rmem_max only root may go. */
    if (setsockopt(side->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) {
        setsockopt(side->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    side->address.sin_family = AF_INET;
    side->address.sin_port = htons(port);
    side->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(side->fd, (struct sockaddr *)&side->address, len) < 0) return false;
    return getsockname(side->fd, (struct sockaddr *)&side->address, &len) == 0;
}

/* One system call for each message: a batch would reach the proxy as a batch, which no set of clients does. */
void net_send(struct side *side, const char *data, int len, const struct sockaddr_in *to) {
    if (sendto(side->fd, data, len, 0, (const struct sockaddr *)to, sizeof *to) < 0) side->send_errors++;
}

bool net_receive(struct side *side, receive *handle, void *context) {
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
    int count = recvmmsg(side->fd, messages, BURST, 0, NULL);
    for (int i = 0; i < count; i++) {
        data[i][messages[i].msg_len] = '\0';
        handle(data[i], &from[i], context);
    }
    return count == BURST;
}

unsigned net_drops(const struct side *side) {
    uint32_t values[MEMINFO_VALUES] = {0};
    socklen_t len = sizeof values;
    if (getsockopt(side->fd, SOL_SOCKET, SO_MEMINFO, values, &len) < 0) return 0;
    return values[MEMINFO_DROPS];
}
