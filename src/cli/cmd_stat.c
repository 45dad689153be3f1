/* acached fs stat. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"

/* A worker that does not answer is part of the explanation. */
#define EXPLAIN_WAIT_MS 5000

static const char *const cached_words[] = { "none", "part", "all" };

static const char *cached_word(uint32_t cached)
{
	return cached < ARRAY_SIZE(cached_words) ? cached_words[cached] : "?";
}

static json_t *json_numbers(const schema_u32_array *a)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < a->n; i++)
		json_array_append_new(all, text_json_number(a->at[i]));
	return all;
}

static void print_field(struct cli *cli, const char *name,
			const schema_bytes *value)
{
	fprintf(cli->out, "%-12s", name);
	text_name(cli->out, value->ptr, value->len);
	fputc('\n', cli->out);
}

static void print_attr(struct cli *cli, const struct stat_reply *r)
{
	const struct attr *a = &r->attr;
	char mode[11], when[40];

	text_mode(mode, a->mode);
	text_time(when, sizeof(when), a->mtime_ns / 1000000);
	print_field(cli, "path:", &r->path);
	fprintf(cli->out, "%-12s%s\n", "type:",
		S_ISDIR(a->mode)   ? "directory"
		: S_ISLNK(a->mode) ? "symbolic link"
				   : "file");
	fprintf(cli->out, "%-12s%llu\n", "id:", (unsigned long long)a->id);
	fprintf(cli->out, "%-12s%llu\n",
		"length:", (unsigned long long)a->length);
	fprintf(cli->out, "%-12s%s %s", "mode:", mode, text_user(a->uid));
	fprintf(cli->out, ":%s\n", text_group(a->gid));
	fprintf(cli->out, "%-12s%s\n", "modified:", when);
	if (a->target.len)
		print_field(cli, "target:", &a->target);
	if (a->version.len)
		print_field(cli, "version:", &a->version);
	if (r->uri.len)
		print_field(cli, "storage:", &r->uri);
	if (r->mount_path.len)
		print_field(cli, "mounted at:",
			    &(schema_bytes){ r->mount_path.ptr,
					     r->mount_path.len });
}

/* For scripts: what the old system printed, of which what is not kept here is
 * left out. */

/* The last component. */
static schema_bytes name_of(const schema_bytes *path)
{
	const char *slash = memrchr(path->ptr, '/', path->len);
	const char *end = (const char *)path->ptr + path->len;

	if (!slash)
		return *path;
	return (schema_bytes){ slash + 1, (size_t)(end - slash - 1) };
}

static bool is_mount_point(const struct stat_reply *r)
{
	return r->path.len == r->mount_path.len &&
	       memcmp(r->path.ptr, r->mount_path.ptr, r->path.len) == 0;
}

static void print_old(struct cli *cli, const struct stat_reply *r)
{
	const struct attr *a = &r->attr;
	const char *is_dir = S_ISDIR(a->mode) ? "true" : "false";
	const bool is_stored = r->uri.len > 0;
	const schema_bytes name = name_of(&r->path);
	FILE *out = cli->out;

	text_name(out, r->path.ptr, r->path.len);
	fprintf(out,
		" is a %s path.\nURIStatus{info=FileInfo{fileId=%llu, name=",
		S_ISDIR(a->mode) ? "directory" : "file",
		(unsigned long long)a->id);
	text_name(out, name.ptr, name.len);
	fputs(", path=", out);
	text_name(out, r->path.ptr, r->path.len);
	fputs(", ufsPath=", out);
	text_name(out, r->uri.ptr, r->uri.len);
	fprintf(out,
		", length=%llu, blockSizeBytes=%llu, completed=true, "
		"folder=%s, cacheable=true, persisted=%s, "
		"lastModificationTimesMs=%llu, owner=%s",
		(unsigned long long)a->length,
		(unsigned long long)r->block_size, is_dir,
		is_stored ? "true" : "false",
		(unsigned long long)(a->mtime_ns / 1000000), text_user(a->uid));
	fprintf(out, ", group=%s, mode=%u, persistenceState=%s, mountPoint=%s",
		text_group(a->gid), a->mode & 0777,
		is_stored ? "PERSISTED" : "NOT_PERSISTED",
		is_mount_point(r) ? "true" : "false");
	if (!S_ISDIR(a->mode) && r->cached != 1)
		fprintf(out, ", inAlluxioPercentage=%d", r->cached ? 100 : 0);
	fputs("}}\n", out);
}

static uint64_t n_blocks(const struct stat_reply *r)
{
	return r->block_size
		       ? (r->attr.length + r->block_size - 1) / r->block_size
		       : 0;
}

/* One value of --format. */
static void print_value(struct cli *cli, const struct stat_reply *r, char what)
{
	const struct attr *a = &r->attr;
	const bool is_dir = S_ISDIR(a->mode);
	const time_t seconds = (time_t)(a->mtime_ns / 1000000000);
	const schema_bytes name = name_of(&r->path);
	FILE *out = cli->out;
	char when[32];
	struct tm tm;

	switch (what) {
	case 'N':
		text_name(out, name.ptr, name.len);
		break;
	case 'u':
		fputs(text_user(a->uid), out);
		break;
	case 'g':
		fputs(text_group(a->gid), out);
		break;
	case 'y':
		gmtime_r(&seconds, &tm);
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		fputs(when, out);
		break;
	case 'Y':
		fprintf(out, "%llu",
			(unsigned long long)(a->mtime_ns / 1000000));
		break;
	case 'i':
		fprintf(out, "%llu", (unsigned long long)a->id);
		break;
	case 'z':
	case 'b':
		if (is_dir)
			fputs("NA", out);
		else
			fprintf(out, "%llu",
				(unsigned long long)(what == 'z'
							     ? a->length
							     : n_blocks(r)));
		break;
	case '%':
		fputc('%', out);
		break;
	default:
		fprintf(out, "%%%c", what);
	}
}

static void print_format(struct cli *cli, const struct stat_reply *r,
			 const char *format)
{
	for (; *format; format++) {
		if (*format == '%' && format[1])
			print_value(cli, r, *++format);
		else
			fputc(*format, cli->out);
	}
	fputc('\n', cli->out);
}

static int on_stat(void *arg, const void *reply)
{
	const struct stat_reply *r = reply;
	struct cli *cli = arg;
	const bool is_dir = S_ISDIR(r->attr.mode);
	const char *format = cli_flag_value(cli, 'f');
	json_t *o;

	if (format && !cli->json) {
		print_format(cli, r, format);
		return 0;
	}
	if (!cli->json) {
		print_old(cli, r);
		print_attr(cli, r);
		if (!is_dir)
			fprintf(cli->out, "%-12s%s\n%-12s%llu\n",
				"cached:", cached_word(r->cached),
				"block size:",
				(unsigned long long)r->block_size);
		return 0;
	}
	o = text_json_attr(&r->attr);
	json_object_set_new(o, "path", TEXT_JSON(r->path));
	json_object_set_new(o, "uri", TEXT_JSON(r->uri));
	json_object_set_new(o, "mount", TEXT_JSON(r->mount_path));
	json_object_set_new(o, "block_size", text_json_number(r->block_size));
	json_object_set_new(o, "holders", json_numbers(&r->holders));
	if (is_dir)
		json_object_set_new(o, "complete_ms",
				    text_json_number(r->complete_ms));
	else
		json_object_set_new(o, "cached",
				    json_string(cached_word(r->cached)));
	cli_print_json(cli, o);
	return 0;
}

int cmd_stat(struct cli *cli, int argc ATTR_UNUSED, char **argv)
{
	return cli_stat(cli, argv[0], on_stat, cli);
}
