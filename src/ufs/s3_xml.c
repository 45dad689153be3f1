#include "ufs/s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "ufs/text.h"
#include "ufs/xml_mend.h"

/* A key has at most 1,024 bytes, thrice that encoded, in &amp;s five times. */
enum { MAX_TEXT = 16 << 10, MAX_DEPTH = 16, MAX_ITEMS = 100000 };

enum section { SECTION_TOP, SECTION_CONTENTS, SECTION_PREFIXES, SECTION_OTHER };

struct s3_xml {
	XML_Parser parser;
	int depth;
	enum s3_root root;
	enum section section;
	struct text text;
	bool wants_text; /* of the element that is open */
	bool bad, whole, encoded;

	struct xml_mend mend;
	struct s3_listing listing;
	size_t objects_size, prefixes_size, nuls_size;
	struct s3_error error;
};

static void stop(struct s3_xml *x)
{
	x->bad = true;
	XML_StopParser(x->parser, XML_FALSE);
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Room for one more of `n` items of `size` bytes in an array of *room. */
static void *grow(void *array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return array;
	*room = *room ? 2 * *room : 64;
	return mem_resize(array, *room, size);
}

static void add_object(struct s3_xml *x)
{
	struct s3_listing *l = &x->listing;

	if (l->n_objects == MAX_ITEMS) {
		stop(x);
		return;
	}
	l->objects = grow(l->objects, l->n_objects, &x->objects_size,
			  sizeof(l->objects[0]));
	l->objects[l->n_objects++] = (struct s3_object){ 0 };
}

static void start_root(struct s3_xml *x, const char *name)
{
	x->section = SECTION_TOP;
	x->root = is(name, "ListBucketResult") ? S3_ROOT_LISTING
		  : is(name, "Error")          ? S3_ROOT_ERROR
					       : S3_ROOT_OTHER;
}

static void start_section(struct s3_xml *x, const char *name)
{
	if (x->root == S3_ROOT_LISTING && is(name, "Contents")) {
		x->section = SECTION_CONTENTS;
		add_object(x);
	} else if (x->root == S3_ROOT_LISTING && is(name, "CommonPrefixes")) {
		x->section = SECTION_PREFIXES;
	} else {
		x->section = SECTION_OTHER;
		x->wants_text = true;
	}
}

static void on_start(void *owner, const XML_Char *name,
		     const XML_Char **attributes)
{
	struct s3_xml *x = owner;

	(void)attributes;
	x->depth++;
	x->wants_text = false;
	text_clear(&x->text);
	if (x->depth == 1)
		start_root(x, name);
	else if (x->depth == 2)
		start_section(x, name);
	else if (x->depth == 3)
		x->wants_text = x->section != SECTION_OTHER;
	else if (x->depth > MAX_DEPTH)
		stop(x);
}

static void on_text(void *owner, const XML_Char *s, int len)
{
	struct s3_xml *x = owner;

	if (!x->wants_text)
		return;
	if (x->text.len + (size_t)len > MAX_TEXT)
		stop(x);
	else
		text_addn(&x->text, s, (size_t)len);
}

static void end_content(struct s3_xml *x, const char *name, const char *text)
{
	struct s3_object *o = &x->listing.objects[x->listing.n_objects - 1];

	if (is(name, "Key") && !o->key)
		o->key = mem_str(text);
	else if (is(name, "ETag") && !o->etag)
		o->etag = mem_str(text);
	else if (is(name, "Size"))
		o->size = strtoull(text, NULL, 10);
	else if (is(name, "LastModified"))
		o->mtime_s = s3_xml_time(text);
}

static void end_prefix(struct s3_xml *x, const char *name, const char *text)
{
	struct s3_listing *l = &x->listing;

	if (!is(name, "Prefix"))
		return;
	if (l->n_prefixes == MAX_ITEMS) {
		stop(x);
		return;
	}
	l->prefixes = grow(l->prefixes, l->n_prefixes, &x->prefixes_size,
			   sizeof(l->prefixes[0]));
	l->prefixes[l->n_prefixes++] = mem_str(text);
}

static void end_top(struct s3_xml *x, const char *name, const char *text)
{
	struct s3_error *e = &x->error;

	if (x->root == S3_ROOT_LISTING) {
		if (is(name, "IsTruncated"))
			x->listing.truncated = is(text, "true");
		else if (is(name, "NextContinuationToken") && !x->listing.next)
			x->listing.next = mem_str(text);
		else if (is(name, "EncodingType"))
			x->encoded = is(text, "url");
	} else if (x->root == S3_ROOT_ERROR) {
		if (is(name, "Code"))
			snprintf(e->code, sizeof(e->code), "%s", text);
		else if (is(name, "Message"))
			snprintf(e->message, sizeof(e->message), "%s", text);
		else if (is(name, "Region"))
			snprintf(e->region, sizeof(e->region), "%s", text);
	}
}

static void on_end(void *owner, const XML_Char *name)
{
	struct s3_xml *x = owner;
	const char *text = x->text.len ? x->text.at : "";

	if (x->depth == 3 && x->section == SECTION_CONTENTS)
		end_content(x, name, text);
	else if (x->depth == 3 && x->section == SECTION_PREFIXES)
		end_prefix(x, name, text);
	else if (x->depth == 2 && x->section == SECTION_OTHER)
		end_top(x, name, text);
	else if (x->depth == 1)
		x->whole = true;
	x->wants_text = false;
	x->depth--;
}

static void on_doctype(void *owner, const XML_Char *name,
		       const XML_Char *system_id, const XML_Char *public_id,
		       int has_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_subset;
	stop(owner);
}

/* A character that was mended. */
static void on_instruction(void *owner, const XML_Char *target,
			   const XML_Char *data)
{
	unsigned long c = strtoul(data, NULL, 16);
	char utf8[3] = { (char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
			 (char)(0x80 | (c & 0x3f)) };

	if (!is(target, XML_MEND_TARGET))
		return;
	if (c < 0x80) {
		utf8[0] = (char)c;
		on_text(owner, utf8, 1);
	} else {
		on_text(owner, utf8, sizeof(utf8));
	}
}

static void set_handlers(struct s3_xml *x)
{
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	XML_SetProcessingInstructionHandler(x->parser, on_instruction);
}

struct s3_xml *s3_xml_new(void)
{
	struct s3_xml *x = mem_alloc(sizeof(*x));

	x->parser = XML_ParserCreate(NULL);
	if (!x->parser)
		abort();
	set_handlers(x);
	return x;
}

static void clear(struct s3_xml *x)
{
	struct s3_listing *l = &x->listing;
	size_t i;

	for (i = 0; i < l->n_objects; i++) {
		free(l->objects[i].key);
		free(l->objects[i].etag);
	}
	for (i = 0; i < l->n_prefixes; i++)
		free(l->prefixes[i]);
	for (i = 0; i < l->n_nuls; i++)
		free(l->nuls[i]);
	free(l->nuls);
	free(l->objects);
	free(l->prefixes);
	free(l->next);
	x->listing = (struct s3_listing){ 0 };
	x->objects_size = x->prefixes_size = x->nuls_size = 0;
	x->error = (struct s3_error){ 0 };
}

void s3_xml_free(struct s3_xml *x)
{
	clear(x);
	text_close(&x->text);
	xml_mend_close(&x->mend);
	XML_ParserFree(x->parser);
	free(x);
}

void s3_xml_reset(struct s3_xml *x)
{
	clear(x);
	XML_ParserReset(x->parser, NULL);
	set_handlers(x);
	x->depth = 0;
	x->root = S3_ROOT_NONE;
	x->section = SECTION_TOP;
	x->wants_text = x->bad = x->whole = x->encoded = false;
	text_clear(&x->text);
	xml_mend_reset(&x->mend);
}

bool s3_xml_is_listing(const struct s3_xml *x)
{
	return x->root == S3_ROOT_LISTING;
}

int s3_xml_feed(struct s3_xml *x, const void *data, size_t len)
{
	const char *at;
	size_t n;

	xml_mend(&x->mend, &data, &len);
	at = data;
	for (; len && !x->bad; at += n, len -= n) {
		n = len < (1u << 20) ? len : 1u << 20;
		if (XML_Parse(x->parser, at, (int)n, 0) != XML_STATUS_OK)
			x->bad = true;
	}
	return x->bad ? -EBADMSG : 0;
}

/* False: it would have a NUL, and stays as it is. */
static bool decode(char *s)
{
	if (strstr(s, "%00"))
		return false;
	s[text_decode(s, strlen(s), true)] = '\0';
	return true;
}

static void add_nul(struct s3_xml *x, char *key)
{
	struct s3_listing *l = &x->listing;

	l->nuls = grow(l->nuls, l->n_nuls, &x->nuls_size, sizeof(l->nuls[0]));
	l->nuls[l->n_nuls++] = key;
}

static void decode_all(struct s3_xml *x)
{
	struct s3_listing *l = &x->listing;
	size_t i, n = 0;

	for (i = 0; i < l->n_objects; i++) {
		if (decode(l->objects[i].key)) {
			l->objects[n++] = l->objects[i];
		} else {
			add_nul(x, l->objects[i].key);
			free(l->objects[i].etag);
		}
	}
	l->n_objects = n;
	for (i = n = 0; i < l->n_prefixes; i++) {
		if (decode(l->prefixes[i]))
			l->prefixes[n++] = l->prefixes[i];
		else
			add_nul(x, l->prefixes[i]);
	}
	l->n_prefixes = n;
}

enum s3_root s3_xml_finish(struct s3_xml *x)
{
	struct s3_listing *l = &x->listing;
	size_t i;

	if (x->bad || !x->whole ||
	    XML_Parse(x->parser, "", 0, 1) != XML_STATUS_OK)
		return S3_ROOT_NONE;
	for (i = 0; i < l->n_objects; i++)
		if (!l->objects[i].key || !l->objects[i].etag)
			return S3_ROOT_NONE;
	if (x->encoded)
		decode_all(x);
	if (l->truncated && !l->next)
		return S3_ROOT_NONE; /* could not be gone on with */
	return x->root;
}

const struct s3_listing *s3_xml_listing(const struct s3_xml *x)
{
	return &x->listing;
}

const struct s3_error *s3_xml_error(const struct s3_xml *x)
{
	return &x->error;
}

int64_t s3_xml_time(const char *s)
{
	struct tm tm = { 0 };

	if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon,
		   &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm);
}
