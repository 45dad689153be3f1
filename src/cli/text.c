#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"

void text_size(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = {
		"B", "KB", "MB", "GB", "TB", "PB"
	};
	double value = (double)bytes;
	unsigned i = 0;

	for (; value >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		value /= 1024;
	snprintf(out, size, i ? "%.2f%s" : "%.0f%s", value, units[i]);
}

int text_parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMGTP";
	const char *unit;
	unsigned shift = 0;
	uint64_t n;
	char *end;

	if (s[0] < '0' || s[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(s, &end, 10);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*end == 'B' || *end == 'b')
		end++;
	if (errno || *end || n > UINT64_MAX >> shift)
		return -EINVAL;
	*out = n << shift;
	return 0;
}

void text_time(char *out, size_t size, uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char day[40];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%m-%d-%Y %H:%M:%S", &tm);
	snprintf(out, size, "%s:%03u", day, (unsigned)(ms % 1000));
}

void text_mode(char out[11], uint32_t mode)
{
	static const char letters[] = "rwxrwxrwx";
	int i;

	out[0] = S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : '-';
	for (i = 0; i < 9; i++)
		out[1 + i] = mode & (0400u >> i) ? letters[i] : '-';
	out[10] = '\0';
}

const char *text_user(uint32_t uid)
{
	static char number[16];
	const struct passwd *p = getpwuid(uid);

	snprintf(number, sizeof(number), "%u", uid);
	return p ? p->pw_name : number;
}

const char *text_group(uint32_t gid)
{
	static char number[16];
	const struct group *g = getgrgid(gid);

	snprintf(number, sizeof(number), "%u", gid);
	return g ? g->gr_name : number;
}

void text_name(FILE *out, const void *name, size_t len)
{
	const unsigned char *c = name, *end = c + len;

	for (; c < end; c++) {
		if (*c < 0x20 || *c == 0x7f)
			fprintf(out, "\\%03o", *c);
		else
			fputc(*c, out);
	}
}

schema_bytes text_bytes(const char *s)
{
	return (schema_bytes){ s, strlen(s) };
}

schema_str text_str(const char *s)
{
	return (schema_str){ s, strlen(s) };
}

/* The length of the UTF-8 sequence at `c`, 0 if there is none (RFC 3629). */
static size_t sequence(const unsigned char *c, size_t left)
{
	size_t n = c[0] < 0x80                   ? 1
		   : c[0] >= 0xc2 && c[0] < 0xe0 ? 2
		   : c[0] >= 0xe0 && c[0] < 0xf0 ? 3
		   : c[0] >= 0xf0 && c[0] < 0xf5 ? 4
						 : 0;
	size_t i;

	if (n == 0 || n > left)
		return 0;
	for (i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return n;
}

json_t *text_json(const void *s, size_t len)
{
	const unsigned char *c = s;
	json_t *value = json_stringn(s ? s : "", len);
	size_t i, n, used = 0;
	char *clean;

	if (value)
		return value;
	clean = mem_array(len, 3);
	for (i = 0; i < len; i += n ? n : 1) {
		n = sequence(c + i, len - i);
		memcpy(clean + used, n ? (const char *)c + i : "\xef\xbf\xbd",
		       n ? n : 3);
		used += n ? n : 3;
	}
	value = json_stringn(clean, used);
	free(clean);
	return value;
}

json_t *text_json_number(uint64_t n)
{
	return n <= INT64_MAX ? json_integer((json_int_t)n)
			      : json_sprintf("%llu", (unsigned long long)n);
}

json_t *text_json_attr(const struct attr *a)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", text_json_number(a->id));
	json_object_set_new(o, "type",
			    json_string(S_ISDIR(a->mode)   ? "directory"
					: S_ISLNK(a->mode) ? "symlink"
							   : "file"));
	json_object_set_new(o, "length", text_json_number(a->length));
	json_object_set_new(o, "mode", json_sprintf("%04o", a->mode & 07777));
	json_object_set_new(o, "uid", text_json_number(a->uid));
	json_object_set_new(o, "gid", text_json_number(a->gid));
	json_object_set_new(o, "mtime_ms",
			    text_json_number(a->mtime_ns / 1000000));
	json_object_set_new(o, "version", TEXT_JSON(a->version));
	if (a->target.len)
		json_object_set_new(o, "target", TEXT_JSON(a->target));
	return o;
}
