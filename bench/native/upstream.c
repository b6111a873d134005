/* A mock provider: replies to each path with fixed bytes, at once or piece by piece at a fixed pace.
 *
 * upstream FILE
 *
 * FILE has, for each path, a line `PATH PIECES PACE` (PACE: microseconds between two pieces), then each piece as a line with
 * its size and its bytes. The pieces are the whole response, with its head and framing. The port is printed on standard
 * output. Each stream begins at a random moment within its pace, so that the streams do not move in step.
 */
#include "wire.h"
#include <sys/timerfd.h>

struct piece { char *data; size_t size; };
struct reply { char *path; struct piece *pieces; size_t count; long long pace; };
struct connection {
    int fd;                   /* -1 after it was closed */
    char head[HEAD_BYTES];    /* the head of a request, as far as it was received */
    size_t filled;
    size_t unread;            /* bytes of the request's body that are still to come */
    struct reply *reply;      /* the reply that is written; NULL while a request is read */
    size_t piece, offset;
    long long due;            /* the time of the next piece */
    int scheduled, blocked;
};

static struct reply *replies, missing;
static size_t reply_count;
static int epoll, timer;
static struct connection **heap; /* streams that wait for their next piece, the earliest first */
static size_t waiting, room;

static void load_replies(const char *path) {
    size_t size;
    char *at = contents(path, &size), *end = at + size;
    while (at < end) {
        char *line = strchr(at, '\n'), name[4096];
        replies = realloc(replies, ++reply_count * sizeof *replies);
        struct reply *reply = &replies[reply_count - 1];
        if (!replies || !line || sscanf(at, "%4095s %zu %lld", name, &reply->count, &reply->pace) != 3) die("invalid reply");
        reply->path = strdup(name);
        reply->pace *= 1000;
        reply->pieces = allocate(reply->count * sizeof *reply->pieces);
        at = line + 1;
        for (size_t number = 0; number < reply->count; number++) {
            struct piece *piece = &reply->pieces[number];
            piece->size = strtoul(at, &at, 10);
            piece->data = ++at;
            at += piece->size;
            if (at > end) die("piece too long");
        }
    }
    static struct piece none = {.data = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
    none.size = strlen(none.data);
    missing = (struct reply){.pieces = &none, .count = 1};
}

/* The heap of waiting streams. */
static void swap(size_t one, size_t other) {
    struct connection *kept = heap[one];
    heap[one] = heap[other];
    heap[other] = kept;
}

static void schedule(struct connection *c) {
    if (waiting == room && !(heap = realloc(heap, (room = room * 2 + 64) * sizeof *heap))) die("out of memory");
    size_t at = waiting++;
    heap[at] = c;
    c->scheduled = 1;
    for (; at && heap[at]->due < heap[(at - 1) / 2]->due; at = (at - 1) / 2) swap(at, (at - 1) / 2);
}

static struct connection *earliest(void) {
    struct connection *first = heap[0];
    heap[0] = heap[--waiting];
    for (size_t at = 0, child; (child = at * 2 + 1) < waiting; at = child) {
        if (child + 1 < waiting && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[at]->due <= heap[child]->due) break;
        swap(at, child);
    }
    first->scheduled = 0;
    return first;
}

static void set_timer(void) {
    struct itimerspec at = {0};
    if (waiting) {
        at.it_value.tv_sec = heap[0]->due / 1000000000;
        at.it_value.tv_nsec = heap[0]->due % 1000000000;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void end(struct connection *c) {
    close(c->fd);
    c->fd = -1;
    if (!c->scheduled) free(c); /* a waiting one is freed when its time comes */
}

/* Writes pieces until the reply ends, its next piece is not due, or the reader is slow. Returns 0 if the connection ended. */
static int write_on(struct connection *c) {
    while (c->reply) {
        struct piece *piece = &c->reply->pieces[c->piece];
        ssize_t written = write(c->fd, piece->data + c->offset, piece->size - c->offset);
        if (written < 0 && errno != EAGAIN) return end(c), 0;
        c->offset += written > 0 ? written : 0;
        if (c->offset < piece->size) {
            watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            return c->blocked = 1;
        }
        c->offset = 0;
        if (++c->piece == c->reply->count) {
            c->reply = NULL;
        } else if (c->reply->pace) {
            c->due = c->piece == 1 ? now_ns() + rand() % c->reply->pace : c->due + c->reply->pace;
            schedule(c);
            break;
        }
    }
    if (c->blocked) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->blocked = 0;
    return 1;
}

/* Begins the reply to the request whose head is complete. */
static void begin(struct connection *c) {
    char *path = strchr(c->head, ' '), *length;
    c->reply = &missing;
    c->piece = c->offset = 0;
    if (!path) return;
    path++;
    size_t size = strcspn(path, " ?");
    for (size_t number = 0; number < reply_count; number++)
        if (strlen(replies[number].path) == size && !memcmp(replies[number].path, path, size)) c->reply = &replies[number];
    length = (char *)header(c->head, "content-length:");
    c->unread = length ? strtoul(length, NULL, 10) : 0;
}

/* Reads requests, one after the other: HTTP/1.1 with `Content-Length`, not pipelined. */
static int read_on(struct connection *c) {
    static char data[READ_BYTES];
    ssize_t size = read(c->fd, data, sizeof data);
    if (size < 0 && errno == EAGAIN) return 1;
    if (size <= 0) return end(c), 0;
    char *at = data;
    if (!c->unread) {
        size_t room = HEAD_BYTES - 1 - c->filled, taken = (size_t)size < room ? (size_t)size : room;
        memcpy(c->head + c->filled, data, taken);
        c->head[c->filled + taken] = 0;
        char *stop = strstr(c->head, "\r\n\r\n");
        if (!stop && taken == room) return end(c), 0;
        if (!stop) return c->filled += taken, 1;
        stop[2] = 0;
        size_t used = stop + 4 - c->head - c->filled;
        c->filled = 0;
        at += used;
        size -= used;
        begin(c);
    }
    c->unread -= (size_t)size < c->unread ? (size_t)size : c->unread;
    return c->unread ? 1 : write_on(c);
}

static int listen_on_any_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (void *)&address, size) || listen(fd, 1024) || getsockname(fd, (void *)&address, &size)) die("listen");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_from(int listener) {
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        struct connection *c = allocate(sizeof *c);
        c->fd = fd;
        prepare(fd);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static void write_due(void) {
    unsigned long long expirations;
    if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timer");
    for (long long now = now_ns(); waiting && heap[0]->due <= now;) {
        struct connection *c = earliest();
        if (c->fd < 0) free(c);
        else write_on(c);
    }
}

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: upstream FILE\n"), 2;
    end_with_parent();
    load_replies(arguments[1]);
    epoll = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int listener = listen_on_any_port();
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    watch(epoll, EPOLL_CTL_ADD, timer, EPOLLIN, &timer);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int number = 0; number < ready; number++) {
            void *what = events[number].data.ptr;
            if (what == &listener) accept_from(listener);
            else if (what == &timer) continue;
            else if (events[number].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_on(what);
            else write_on(what);
        }
        write_due(); /* last: it may free connections that are among the events */
        set_timer();
    }
}
