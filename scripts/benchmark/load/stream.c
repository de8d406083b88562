/* Messages on connections. A connection that breaks stays broken: the calls on it show that. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

enum { UNREAD = 64 << 10, PATIENCE = 1000 /* milliseconds to wait for room in the kernel */ };

static SSL_CTX *tls_context(void) {
    static SSL_CTX *context;
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);               /* the certificate is the bench's own */
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256"); /* the same for every proxy */
    }
    return context;
}

static void add_stream(struct side *side, int fd, SSL *ssl) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct link *link = net_add(side, fd);
    link->ssl = ssl;
    link->unread = malloc(UNREAD + 1);
    if (!link->unread) abort();
}

bool stream_dial(struct side *side, const struct sockaddr_in *to) {
    SSL *ssl = NULL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0) return false;
    if (side->transport == TLS) {
        ssl = SSL_new(tls_context());
        SSL_set_fd(ssl, fd);
        errno = 0;
        if (SSL_connect(ssl) != 1) return false;
    }
    add_stream(side, fd, ssl);
    return true;
}

void stream_accept(struct side *side) {
    int fd = accept4(side->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) add_stream(side, fd, NULL);
}

void stream_close(struct link *link) {
    if (link->ssl) SSL_free(link->ssl);
    if (link->fd >= 0) close(link->fd);
    free(link->unread);
    link->ssl = NULL;
    link->unread = NULL;
    link->fd = -1;
}

static void lose(struct link *link) {
    link->side->lost++;
    stream_close(link);
}

/* Bytes taken; 0 when the kernel has no room, -1 when the connection is broken. */
static int write_some(struct link *link, const char *data, int len) {
    if (link->ssl) {
        int count = SSL_write(link->ssl, data, len);
        if (count > 0) return count;
        return SSL_get_error(link->ssl, count) == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    int count = (int)send(link->fd, data, len, MSG_NOSIGNAL);
    return count >= 0 ? count : errno == EAGAIN ? 0 : -1;
}

static int read_some(struct link *link, char *data, int room) {
    if (link->ssl) {
        int count = SSL_read(link->ssl, data, room);
        if (count > 0) return count;
        return SSL_get_error(link->ssl, count) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    int count = (int)recv(link->fd, data, room, 0);
    return count > 0 ? count : count < 0 && errno == EAGAIN ? 0 : -1;
}

void stream_send(struct link *link, const char *data, int len) {
    while (len > 0 && link->fd >= 0) {
        int count = write_some(link, data, len);
        if (count < 0) break;
        data += count;
        len -= count;
        struct pollfd full = {.fd = link->fd, .events = POLLOUT};
        if (count == 0 && poll(&full, 1, PATIENCE) != 1) break;
    }
    if (len > 0) {
        link->side->send_errors++;
        if (link->fd >= 0) lose(link); /* half a message is the end of the stream */
    }
}

/* Length of the message that the text begins with; 0 when it is not whole. */
static int message_len(const char *text, int len) {
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (!end) return 0;
    const char *length = memmem(text, end - text, "\r\nContent-Length:", 17);
    if (!length) length = memmem(text, end - text, "\r\nl:", 4);
    int whole = (int)(end + 4 - text) + (length ? atoi(strchr(length, ':') + 1) : 0);
    return whole <= len ? whole : 0;
}

static void cut(struct link *link, receive *handle, void *context) {
    char *at = link->unread;
    int left = link->unread_len, len;
    while (left >= 2 && at[0] == '\r' && at[1] == '\n') at += 2, left -= 2; /* keep-alive (RFC 5626 §3.5.1) */
    while ((len = message_len(at, left))) {
        char next = at[len];
        at[len] = '\0';
        handle(at, link, NULL, context);
        if (link->fd < 0) return;
        at[len] = next;
        at += len;
        left -= len;
    }
    memmove(link->unread, at, left);
    link->unread_len = left;
}

void stream_receive(struct link *link, receive *handle, void *context) {
    if (link->fd < 0) return;
    do {
        int room = UNREAD - link->unread_len;
        int count = room ? read_some(link, link->unread + link->unread_len, room) : -1;
        if (count < 0) {
            lose(link);
            return;
        }
        link->unread_len += count;
        if (count) cut(link, handle, context);
    } while (link->ssl && SSL_pending(link->ssl)); /* of which epoll does not know */
}
