/* A load generator: sends one request many times, on several connections that are kept open, each as soon as its reply ended.
 *
 * load PORT CONNECTIONS REQUESTS FILE END
 *
 * FILE has the bytes of the request. A reply is correct if its status is 200, its body is complete, and END is among the last
 * bytes of the body. One line of JSON is printed: the numbers of requests, of errors and of events (blank lines in bodies),
 * the bytes of the bodies, the seconds, and percentiles of the time from a request to the end of its reply in microseconds.
 */
#include "wire.h"

#define TAIL_BYTES 1024 /* the last bytes of a body */
enum state { IDLE, HEAD, LENGTH, SIZE, SIZE_LINE, CHUNK, CHUNK_END, TRAILER, UNTIL_CLOSE };

struct connection {
    int fd;
    enum state state;
    char head[HEAD_BYTES];
    size_t filled, sent;
    size_t left;                /* bytes of the body, or of its chunk, that are still to come */
    int empty_line;             /* in a trailer: nothing but a line end so far */
    int status;
    char tail[2 * TAIL_BYTES];  /* the end of the body */
    size_t kept;
    char last;                  /* the last byte of the body */
    long long start;
};

static char *request;
static const char *ending;
static size_t request_size, started, wanted, done, errors, events, bytes;
static long long *times;
static int epoll, port;

static void connect_again(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&address, sizeof address)) die("connect");
    prepare(c->fd);
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    c->state = IDLE;
}

static void send_on(struct connection *c) {
    ssize_t written = write(c->fd, request + c->sent, request_size - c->sent);
    if (written > 0) c->sent += written; /* the failure of a write is seen by the read */
    watch(epoll, EPOLL_CTL_MOD, c->fd, c->sent < request_size ? EPOLLIN | EPOLLOUT : EPOLLIN, c);
}

static void send_next(struct connection *c) {
    if (started == wanted) return;
    started++;
    c->state = HEAD;
    c->filled = c->sent = c->kept = 0;
    c->last = 0;
    c->start = now_ns();
    ssize_t written = write(c->fd, request, request_size);
    c->sent = written > 0 ? written : 0;
    if (c->sent < request_size) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
}

static void count_error(struct connection *c, const char *what) {
    if (!errors++) fprintf(stderr, "%s, status %d, body: %.*s\n", what, c->status, (int)c->kept, c->tail);
}

static void finish(struct connection *c, int complete) {
    times[done++] = now_ns() - c->start;
    if (!complete) count_error(c, "the reply is incomplete");
    else if (c->status != 200) count_error(c, "not the status 200");
    else if (!memmem(c->tail, c->kept, ending, strlen(ending))) count_error(c, "the body does not end as expected");
    const char *kept = header(c->head, "connection:");
    if (!complete || c->state == UNTIL_CLOSE || (kept && !strncasecmp(kept, "close", 5))) {
        close(c->fd);
        connect_again(c);
    }
    c->state = IDLE;
    send_next(c);
}

static void take_body(struct connection *c, const char *data, size_t size) {
    bytes += size;
    for (const char *at = data; (at = memchr(at, '\n', data + size - at)); at++)
        events += (at == data ? c->last : at[-1]) == '\n';
    if (size) c->last = data[size - 1];
    if (size > TAIL_BYTES) data += size - TAIL_BYTES, size = TAIL_BYTES;
    if (c->kept + size > sizeof c->tail) {
        memmove(c->tail, c->tail + c->kept - TAIL_BYTES, TAIL_BYTES);
        c->kept = TAIL_BYTES;
    }
    memcpy(c->tail + c->kept, data, size);
    c->kept += size;
}

/* Adds bytes to the head. Returns how many belong to it. */
static size_t take_head(struct connection *c, const char *data, size_t size) {
    size_t before = c->filled, taken = size < HEAD_BYTES - 1 - before ? size : HEAD_BYTES - 1 - before;
    memcpy(c->head + before, data, taken);
    c->head[c->filled += taken] = 0;
    char *stop = strstr(c->head, "\r\n\r\n");
    if (!stop) return taken;
    stop[2] = 0;
    if (sscanf(c->head, "HTTP/1.1 %d", &c->status) != 1) c->status = 0;
    const char *length = header(c->head, "content-length:"), *coding = header(c->head, "transfer-encoding:");
    c->left = length ? strtoul(length, NULL, 10) : 0;
    c->state = coding && !strncasecmp(coding, "chunked", 7) ? SIZE : length ? LENGTH : UNTIL_CLOSE;
    return stop + 4 - c->head - before;
}

static int digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    character |= 32;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* Takes one byte of the lines between the chunks of a body. Returns 1 if it ends the body. */
static int take_framing(struct connection *c, char byte) {
    switch (c->state) {
    case SIZE:
        if (digit(byte) >= 0) c->left = c->left * 16 + digit(byte);
        else c->state = SIZE_LINE; /* an extension, or the line end */
        if (byte != '\n') return 0; /* fall through */
    case SIZE_LINE:
        if (byte == '\n') c->state = c->left ? CHUNK : TRAILER, c->empty_line = 1;
        return 0;
    case CHUNK_END:
        if (byte == '\n') c->state = SIZE, c->left = 0;
        return 0;
    default:
        if (byte == '\n' && c->empty_line) return 1;
        c->empty_line = byte == '\n' || (byte == '\r' && c->empty_line);
        return 0;
    }
}

static void take(struct connection *c, const char *data, size_t size) {
    while (size || (c->state == LENGTH && !c->left)) {
        size_t used = 1;
        switch (c->state) {
        case IDLE:
            errno = 0;
            die("bytes after the end of a reply");
        case HEAD:
            used = take_head(c, data, size);
            if (c->state == HEAD && c->filled == HEAD_BYTES - 1) errno = 0, die("the head of a reply");
            break;
        case LENGTH: case CHUNK: case UNTIL_CLOSE:
            used = c->state == UNTIL_CLOSE || size < c->left ? size : c->left;
            take_body(c, data, used);
            if (c->state == UNTIL_CLOSE || (c->left -= used)) break;
            if (c->state == LENGTH) return finish(c, 1);
            c->state = CHUNK_END;
            break;
        default:
            if (take_framing(c, *data)) return finish(c, 1);
        }
        data += used;
        size -= used;
    }
}

static void read_on(struct connection *c) {
    static char data[READ_BYTES];
    ssize_t size = read(c->fd, data, sizeof data);
    if (size > 0) {
        take(c, data, size);
    } else if (size == 0 || errno != EAGAIN) {
        if (c->state != IDLE) {
            finish(c, size == 0 && c->state == UNTIL_CLOSE);
        } else { /* an idle connection was closed, which its server may do */
            close(c->fd);
            if (started < wanted) connect_again(c), send_next(c);
        }
    }
}

static int order(const void *one, const void *other) {
    long long difference = *(const long long *)one - *(const long long *)other;
    return (difference > 0) - (difference < 0);
}

int main(int count, char **arguments) {
    if (count != 6) return fprintf(stderr, "usage: load PORT CONNECTIONS REQUESTS FILE END\n"), 2;
    end_with_parent();
    port = atoi(arguments[1]);
    size_t connections = atoi(arguments[2]);
    wanted = atoi(arguments[3]);
    request = contents(arguments[4], &request_size);
    ending = arguments[5];
    times = allocate(wanted * sizeof *times);
    epoll = epoll_create1(0);
    struct connection *all = allocate(connections * sizeof *all);
    for (size_t number = 0; number < connections; number++) connect_again(&all[number]);
    long long begin = now_ns();
    for (size_t number = 0; number < connections; number++) send_next(&all[number]);
    while (done < wanted) {
        struct epoll_event ready[256];
        int found = epoll_wait(epoll, ready, 256, 60000);
        if (found < 0 && errno != EINTR) die("epoll_wait");
        if (!found) return fprintf(stderr, "no reply for 60 seconds\n"), 1;
        for (int number = 0; number < found; number++) {
            if (ready[number].events & EPOLLOUT) send_on(ready[number].data.ptr);
            if (ready[number].events & ~EPOLLOUT) read_on(ready[number].data.ptr);
        }
    }
    double seconds = (now_ns() - begin) / 1e9;
    qsort(times, wanted, sizeof *times, order);
    printf("{\"requests\": %zu, \"errors\": %zu, \"events\": %zu, \"bytes\": %zu, \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f}\n",
           wanted, errors, events, bytes, seconds, times[wanted / 2] / 1e3, times[wanted * 99 / 100] / 1e3);
    return 0;
}
