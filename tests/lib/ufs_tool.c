/*
 * The under-storage drivers by themselves, for tests and benches in Python.
 *
 *	ufs_tool URI [KEY=VALUE...] <commands
 *
 * Commands are lines of fields between tabs; all of them are in flight at once,
 * up to ACACHED_PARALLEL (64), and answered in the order in which they end.
 * Paths and names are percent-encoded.
 *
 *	stat PATH		number, result, type, size, mtime_ns, version
 *	list PATH LIMIT		the whole directory: "entry", number, type,
 *size, mtime_ns, version, name; then number, result, pages, skipped read PATH
 *VERSION OFFSET LENGTH [FILE] number, result; the bytes go to FILE cancel
 *all that is in flight
 *
 * An error's sentence is the last field.  "number" counts lines from 0.  At the
 * end: "usage", processor time in microseconds, most memory in KiB, requests
 * sent, retries.
 *
 *	ufs_tool sign <requests
 *
 * signs requests: see sign_one().
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "runtime/loop_uv.h"
#include "runtime/metrics.h"
#include "ufs/s3_sign.h"
#include "ufs/text.h"
#include "ufs/ufs.h"

enum { MAX_FIELDS = 64 };

static struct loop *loop;
static struct ufs *ufs;
static unsigned in_flight, parallel = 64;
static unsigned long lines;
static bool ended, pausing;

struct command {
	struct list link; /* in `running` */
	struct ufs_req req;
	struct ufs_version version;
	unsigned long number;
	char *path, *file;
	unsigned pages, skipped;
	size_t progress;
};

static struct list running;
static struct task next_task;

static void read_on(struct task *t);

static void print_encoded(const char *s, size_t len)
{
	struct text t = { 0 };

	text_encode(&t, s, len, true);
	fputs(t.at, stdout);
	text_close(&t);
}

static void print_stat(const struct ufs_stat *st)
{
	printf("\t%c\t%" PRIu64 "\t%" PRIu64 "\t",
	       S_ISDIR(st->mode)   ? 'd'
	       : S_ISLNK(st->mode) ? 'l'
				   : 'f',
	       st->size, st->mtime_ns);
	print_encoded(st->version.bytes, st->version.len);
}

static void finish(struct command *c, ssize_t rv)
{
	if (rv < 0)
		printf("\t%s", c->req.err.msg);
	printf("\n");
	list_remove(&c->link);
	ufs_req_close(&c->req);
	free(c->req.buf);
	free(c->path);
	free(c->file);
	free(c);
	if (--in_flight == 0 && ended)
		loop_uv_stop(loop);
	else if (pausing ? in_flight == 0 : in_flight == parallel - 1)
		loop_post(loop, &next_task, read_on);
}

static void on_stat(struct ufs_req *req, ssize_t rv)
{
	struct command *c = container_of(req, struct command, req);

	printf("%lu\t%zd", c->number, rv);
	if (rv == 0)
		print_stat(&req->stat);
	finish(c, rv);
}

static void on_list(struct ufs_req *req, ssize_t rv)
{
	struct command *c = container_of(req, struct command, req);
	size_t i;

	for (i = 0; rv == 0 && i < req->n_entries; i++) {
		printf("entry\t%lu", c->number);
		print_stat(&req->entries[i].stat);
		printf("\t");
		print_encoded(req->entries[i].name,
			      strlen(req->entries[i].name));
		printf("\n");
	}
	c->pages++;
	c->skipped += req->skipped;
	if (rv == 0 && req->more) {
		ufs->ops->list(ufs, req, on_list);
		return;
	}
	printf("%lu\t%zd\t%u\t%u", c->number, rv, c->pages, c->skipped);
	finish(c, rv);
}

static void on_read(struct ufs_req *req, ssize_t rv)
{
	struct command *c = container_of(req, struct command, req);
	FILE *f;

	if (rv >= 0 && (size_t)rv != c->progress && ufs->ops == &ufs_s3)
		printf("progress was %zu of %zd\n", c->progress, rv);
	if (rv >= 0 && c->file) {
		f = fopen(c->file, "wb");
		if (!f || fwrite(req->buf, 1, (size_t)rv, f) != (size_t)rv ||
		    fclose(f) != 0)
			abort();
	}
	printf("%lu\t%zd", c->number, rv);
	finish(c, rv);
}

static void on_progress(struct ufs_req *req, size_t n)
{
	struct command *c = container_of(req, struct command, req);

	if (n <= c->progress)
		printf("progress went back\n");
	c->progress = n;
}

static void start_read(struct command *c, char *field[], int n)
{
	c->version.len =
		(uint8_t)text_decode(field[2], strlen(field[2]), false);
	memcpy(c->version.bytes, field[2], c->version.len);
	c->req.version = &c->version;
	c->req.offset = strtoull(field[3], NULL, 10);
	c->req.len = strtoull(field[4], NULL, 10);
	c->req.buf = malloc(c->req.len ? c->req.len : 1);
	c->req.progress = on_progress;
	c->file = n > 5 ? mem_str(field[5]) : NULL;
	ufs->ops->read(ufs, &c->req, on_read);
}

static void cancel_all(void)
{
	struct list *link;

	for (link = running.next; link != &running; link = link->next)
		ufs->ops->cancel(ufs,
				 &list_entry(link, struct command, link)->req);
}

static int split(char *line, char *field[])
{
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (line && n < MAX_FIELDS)
		field[n++] = strsep(&line, "\t");
	return n;
}

static void start(char *line)
{
	char *field[MAX_FIELDS];
	int n = split(line, field);
	struct command *c;

	if (strcmp(field[0], "cancel") == 0) {
		cancel_all();
		return;
	}
	if (strcmp(field[0], "pause") == 0) {
		pausing = true;
		return;
	}
	if (n < 2)
		abort();
	c = mem_alloc(sizeof(*c));
	c->number = lines++;
	c->path = mem_str(field[1]);
	c->path[text_decode(c->path, strlen(c->path), false)] = '\0';
	c->req.path = c->path;
	if (getenv("ACACHED_ATTEMPTS"))
		c->req.attempts = (unsigned)atoi(getenv("ACACHED_ATTEMPTS"));
	list_push_back(&running, &c->link);
	in_flight++;
	if (strcmp(field[0], "stat") == 0) {
		ufs->ops->stat(ufs, &c->req, on_stat);
	} else if (strcmp(field[0], "list") == 0) {
		c->req.limit = n > 2 ? (unsigned)atoi(field[2]) : 0;
		ufs->ops->list(ufs, &c->req, on_list);
	} else if (strcmp(field[0], "read") == 0 && n >= 5) {
		start_read(c, field, n);
	} else {
		abort();
	}
}

/* Starts what the input has, as long as there is room. */
static void read_on(struct task *t)
{
	static char line[1 << 16];

	(void)t;
	while (in_flight < parallel && !ended) {
		if (pausing && in_flight)
			return;
		if (pausing) {
			puts("paused");
			fflush(stdout);
			pausing = false;
		}
		if (fgets(line, sizeof(line), stdin))
			start(line);
		else
			ended = true;
	}
	if (ended && in_flight == 0)
		loop_uv_stop(loop);
}

static void print_usage(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	printf("usage\t%ld\t%ld\t%" PRIu64 "\t%" PRIu64 "\n",
	       (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000L +
		       u.ru_utime.tv_usec + u.ru_stime.tv_usec,
	       u.ru_maxrss,
	       metric_value(METRIC_ufs_ok) + metric_value(METRIC_ufs_4xx) +
		       metric_value(METRIC_ufs_5xx) +
		       metric_value(METRIC_ufs_error),
	       metric_value(METRIC_ufs_retries));
}

/*
 * Fields: access key, secret key, region, date, method, path, query, payload,
 * then names and values of headers.  Prints the Authorization header.
 */
static void sign_one(struct s3_signer *s, char *field[], int n)
{
	struct s3_header headers[MAX_FIELDS];
	struct text out = { 0 };
	int i, k = 0;

	if (n < 8)
		abort();
	for (i = 8; i + 1 < n; i += 2)
		headers[k++] = (struct s3_header){ field[i], field[i + 1] };
	s3_sign(s,
		&(struct s3_scope){ .access_key = field[0],
				    .secret_key = field[1],
				    .region = field[2] },
		&(struct s3_signed_request){ .date = field[3],
					     .method = field[4],
					     .path = field[5],
					     .query = field[6],
					     .payload = field[7],
					     .headers = headers,
					     .n_headers = (size_t)k },
		&out);
	puts(out.at);
	text_close(&out);
}

static int sign_all(void)
{
	struct s3_signer *s = s3_signer_new();
	static char line[1 << 16];
	char *field[MAX_FIELDS];

	while (fgets(line, sizeof(line), stdin))
		sign_one(s, field, split(line, field));
	s3_signer_free(s);
	return 0;
}

static int run(const char *uri, int n, char *args[])
{
	struct ufs_option *options = mem_array((size_t)n, sizeof(*options));
	struct ufs_env env = { .loop = loop, .options = options };
	struct err err = { 0 };
	int i;

	for (i = 0; i < n; i++) {
		options[i].key = strsep(&args[i], "=");
		options[i].value = args[i];
	}
	env.n_options = (unsigned)n;
	if (workpool_new(&env.pool, "ufs", 4))
		abort();
	if (ufs_open(&ufs, &env, uri, &err)) {
		printf("open\t%d\t%s\n", err.code, err.msg);
		return 1;
	}
	loop_post(loop, &next_task, read_on);
	loop_uv_run(loop);
	print_usage();
	ufs->ops->close(ufs);
	workpool_close(env.pool);
	loop_uv_free(loop);
	free(options);
	return 0;
}

int main(int argc, char *argv[])
{
	const char *p = getenv("ACACHED_PARALLEL");

	if (argc > 1 && strcmp(argv[1], "sign") == 0)
		return sign_all();
	if (argc < 2)
		return 2;
	if (p)
		parallel = (unsigned)atoi(p);
	list_init(&running);
	loop = loop_uv_new();
	return run(argv[1], argc - 2, argv + 2);
}
