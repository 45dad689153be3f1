/*
 * reader: what the benches make, read and fetch files with.
 *
 *	reader make   TOP LIST SIZE
 *	reader files  TOP LIST THREADS SEED PASSES
 *	reader stream TOP NAME BLOCK
 *	reader random TOP NAME BLOCK COUNT SEED
 *	reader http   PORT METHOD TOP LIST THREADS SEED
 *
 * LIST has a name below TOP a line; for http a target to ask for and the
 * name, and perhaps an offset and a length, between tabs.  files opens,
 * stats, reads and closes each; http sends each target as it is, over a
 * connection a thread, with the file as body of a PUT.  Every page read is
 * checked (bench.h).  Prints one JSON value: operations, bytes, wrong pages,
 * seconds, CPU seconds of this process, and microseconds of the middle and the
 * 99th of a hundred operations.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum { THREADS_MAX = 256, HTTP_HEAD = 16 << 10 };

/* What one thread has. */
struct reader {
	pthread_t thread;
	char *buffer;
	size_t size;
	uint64_t bytes;
	uint64_t wrong;
	int socket;
};

struct name {
	char *target;
	char *path;
	uint64_t offset;
	uint64_t length; /* 0: all of it */
};

static struct name *names;
static size_t n_names, n_turns;
static uint32_t *order; /* which name comes at each turn */
static uint64_t *times; /* ns, of each turn */
static _Atomic size_t next_turn;
static int top;
static const char *method;
static struct sockaddr_in server = { .sin_family = AF_INET };

static void fail(const char *what)
{
	fprintf(stderr, "reader: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t number(const char *word)
{
	return (size_t)strtoull(word, NULL, 10);
}

static void *must(void *p)
{
	if (!p)
		fail("memory");
	return p;
}

static void open_top(const char *path)
{
	top = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		fail(path);
}

static struct name parse_name(char *line)
{
	char *rest;
	char *target = strtok_r(line, "\t", &rest);
	const char *path = strtok_r(NULL, "\t", &rest);
	const char *offset = strtok_r(NULL, "\t", &rest);

	return (struct name){
		.target = must(strdup(target)),
		.path = must(strdup(path ? path : target)),
		.offset = offset ? number(offset) : 0,
		.length = offset ? number(rest) : 0,
	};
}

static void read_list(const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0, room = 0;

	if (!f)
		fail(path);
	for (ssize_t n; (n = getline(&line, &size, f)) > 0;) {
		line[n - 1] = 0;
		if (n_names == room) {
			room = room ? 2 * room : 1024;
			names = must(realloc(names, room * sizeof(*names)));
		}
		names[n_names++] = parse_name(line);
	}
	free(line);
	fclose(f);
}

/* `passes` times all names, each time in another order. */
static void shuffle(uint64_t seed, size_t passes)
{
	n_turns = n_names * passes;
	order = must(malloc((n_turns + 1) * sizeof(*order)));
	times = must(calloc(n_turns + 1, sizeof(*times)));
	for (size_t p = 0; p < passes; p++) {
		uint32_t *o = order + p * n_names;

		for (size_t i = 0; i < n_names; i++)
			o[i] = (uint32_t)i;
		for (size_t i = n_names; i > 1; i--) {
			size_t k = (seed = bench_mix(seed)) % i;
			uint32_t t = o[i - 1];

			o[i - 1] = o[k];
			o[k] = t;
		}
	}
}

static void need(struct reader *r, size_t size)
{
	if (r->size < size) {
		free(r->buffer);
		r->buffer = must(aligned_alloc(
			BENCH_PAGE,
			(size + BENCH_PAGE - 1) / BENCH_PAGE * BENCH_PAGE));
		r->size = size;
	}
}

static int open_name(const char *path)
{
	int fd = openat(top, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	return fd;
}

static size_t size_of(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		fail(path);
	return (size_t)st.st_size;
}

static size_t load(struct reader *r, const char *path)
{
	int fd = open_name(path);
	size_t size = size_of(fd, path), have = 0;

	need(r, size);
	while (have < size) {
		ssize_t n = read(fd, r->buffer + have, size - have);

		if (n < 0)
			fail(path);
		if (!n)
			break;
		have += (size_t)n;
	}
	close(fd);
	r->wrong += have < size;
	return have;
}

static void read_one(struct reader *r, const struct name *name)
{
	size_t n = load(r, name->path);

	r->bytes += n;
	r->wrong += bench_wrong(bench_seed(name->path), r->buffer, n, 0);
}

static void make_one(struct reader *r, const char *path, size_t size)
{
	int fd = openat(top, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	uint64_t seed = bench_seed(path);

	if (fd < 0)
		fail(path);
	need(r, 1 << 20);
	for (size_t at = 0; at < size;) {
		size_t n = size - at < r->size ? size - at : r->size;
		uint64_t *w = (uint64_t *)r->buffer;

		for (size_t i = 0; i < (n + 7) / 8; i++) {
			uint64_t byte = at + 8 * i;

			w[i] = byte % BENCH_PAGE
				       ? bench_mix(seed + byte)
				       : bench_word(seed, byte / BENCH_PAGE);
		}
		if (write(fd, r->buffer, n) != (ssize_t)n)
			fail(path);
		at += n;
	}
	close(fd);
}

/* http */

static void send_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);

		if (k < 0)
			fail("send");
		bytes += k;
		n -= (size_t)k;
	}
}

static void connect_once(struct reader *r)
{
	int on = 1;

	if (r->socket)
		return;
	r->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->socket < 0 ||
	    connect(r->socket, (struct sockaddr *)&server, sizeof(server)))
		fail("connect");
	setsockopt(r->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void send_request(struct reader *r, const struct name *name)
{
	char head[HTTP_HEAD], range[80] = "";
	bool put = !strcmp(method, "PUT");
	size_t body = put ? load(r, name->path) : 0;
	int n;

	if (name->length)
		snprintf(range, sizeof(range), "Range: bytes=%ju-%ju\r\n",
			 (uintmax_t)name->offset,
			 (uintmax_t)(name->offset + name->length - 1));
	n = snprintf(head, sizeof(head),
		     "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
		     "Content-Length: %zu\r\n\r\n",
		     method, name->target, range, body);
	send_all(r->socket, head, (size_t)n);
	send_all(r->socket, r->buffer, body);
}

/* The length that a complete head promises, or none with `false`. */
static bool parse_head(const char *head, size_t *length)
{
	const char *at = head;

	*length = 0;
	while ((at = strstr(at, "\r\n"))) {
		at += 2;
		if (!strncasecmp(at, "content-length:", 15))
			*length = strtoull(at + 15, NULL, 10);
	}
	return !strncmp(head, "HTTP/1.1 20", 11);
}

/* The body's bytes come to the beginning of the buffer. */
static size_t get_response(struct reader *r)
{
	char head[HTTP_HEAD + 1], *end = NULL;
	size_t have = 0, length, body;

	while (!end) {
		ssize_t n = recv(r->socket, head + have, HTTP_HEAD - have, 0);

		if (n <= 0)
			fail("the response");
		have += (size_t)n;
		head[have] = 0;
		end = strstr(head, "\r\n\r\n");
	}
	end[2] = 0;
	if (!parse_head(head, &length)) {
		fprintf(stderr, "reader: the server says %.*s\n",
			(int)strcspn(head, "\r"), head);
		exit(1);
	}
	body = have - (size_t)(end + 4 - head);
	need(r, length + 1);
	memcpy(r->buffer, end + 4, body);
	while (body < length) {
		ssize_t n = recv(r->socket, r->buffer + body, length - body, 0);

		if (n <= 0)
			fail("the body");
		body += (size_t)n;
	}
	return body;
}

static void ask_one(struct reader *r, const struct name *name)
{
	size_t n;

	connect_once(r);
	send_request(r, name);
	n = get_response(r);
	if (!strcmp(method, "PUT"))
		return;
	r->bytes += n;
	r->wrong += bench_wrong(bench_seed(name->path), r->buffer, n,
				name->offset) +
		    (name->length && n != name->length);
}

/* Takes turns until there are none. */
static void *take_turns(void *arg)
{
	struct reader *r = arg;

	for (;;) {
		size_t i = atomic_fetch_add(&next_turn, 1);
		uint64_t began;

		if (i >= n_turns)
			return NULL;
		began = bench_now_ns();
		if (method)
			ask_one(r, &names[order[i]]);
		else
			read_one(r, &names[order[i]]);
		times[i] = bench_now_ns() - began;
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void report(const struct reader *all, size_t n, uint64_t ns)
{
	struct rusage used;
	uint64_t bytes = 0, wrong = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += all[i].bytes;
		wrong += all[i].wrong;
	}
	getrusage(RUSAGE_SELF, &used);
	qsort(times, n_turns, sizeof(*times), by_value);
	printf("{\"operations\": %zu, \"bytes\": %ju, \"wrong\": %ju, "
	       "\"seconds\": %.6f, \"cpu\": %.6f, \"p50_us\": %.2f, "
	       "\"p99_us\": %.2f}\n",
	       n_turns, (uintmax_t)bytes, (uintmax_t)wrong, (double)ns / 1e9,
	       seconds(used.ru_utime) + seconds(used.ru_stime),
	       (double)times[n_turns / 2] / 1e3,
	       (double)times[n_turns * 99 / 100] / 1e3);
}

static void run_threads(size_t n)
{
	static struct reader all[THREADS_MAX];
	uint64_t began = bench_now_ns();

	if (!n || n > THREADS_MAX) {
		errno = EINVAL;
		fail("threads");
	}
	for (size_t i = 0; i < n; i++) {
		errno = pthread_create(&all[i].thread, NULL, take_turns,
				       &all[i]);
		if (errno)
			fail("a thread");
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(all[i].thread, NULL);
	report(all, n, bench_now_ns() - began);
}

/* One big file: all blocks in order, or `count` of them wherever. */
static void read_blocks(const char *path, size_t block, size_t count,
			uint64_t rng)
{
	struct reader r = { 0 };
	uint64_t seed = bench_seed(path), began = bench_now_ns();
	int fd = open_name(path);
	size_t total = size_of(fd, path) / block;

	n_turns = count ? count : total;
	times = must(calloc(n_turns + 1, sizeof(*times)));
	need(&r, block);
	for (size_t i = 0; i < n_turns; i++) {
		uint64_t at = count ? (rng = bench_mix(rng)) % total : i;
		uint64_t t = bench_now_ns();
		size_t have = 0;

		while (have < block) {
			ssize_t n = pread(fd, r.buffer + have, block - have,
					  (off_t)(at * block + have));

			if (n <= 0)
				fail(path);
			have += (size_t)n;
		}
		times[i] = bench_now_ns() - t;
		r.bytes += have;
		r.wrong += bench_wrong(seed, r.buffer, have, at * block);
	}
	close(fd);
	report(&r, 1, bench_now_ns() - began);
}

static int usage(void)
{
	fputs("usage: reader make|files|stream|random|http ...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "make") && argc == 5) {
		struct reader r = { 0 };

		open_top(argv[2]);
		read_list(argv[3]);
		for (size_t i = 0; i < n_names; i++)
			make_one(&r, names[i].path, number(argv[4]));
	} else if (!strcmp(verb, "files") && argc == 7) {
		open_top(argv[2]);
		read_list(argv[3]);
		shuffle(number(argv[5]), number(argv[6]));
		run_threads(number(argv[4]));
	} else if (!strcmp(verb, "stream") && argc == 5) {
		open_top(argv[2]);
		read_blocks(argv[3], number(argv[4]), 0, 0);
	} else if (!strcmp(verb, "random") && argc == 7) {
		open_top(argv[2]);
		read_blocks(argv[3], number(argv[4]), number(argv[5]),
			    number(argv[6]));
	} else if (!strcmp(verb, "http") && argc == 8) {
		server.sin_port = htons((uint16_t)number(argv[2]));
		server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		method = argv[3];
		open_top(argv[4]);
		read_list(argv[5]);
		shuffle(number(argv[7]), 1);
		run_threads(number(argv[6]));
	} else {
		return usage();
	}
	return 0;
}
