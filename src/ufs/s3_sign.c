#include "ufs/s3_sign.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "ufs/text.h"

enum { HASH_LEN = 32, DAY_LEN = 8, MAX_HEADERS = 64, MAX_PARAMS = 256 };

struct s3_signer {
	EVP_MD *sha256;
	EVP_MD_CTX *hash;
	EVP_MAC *hmac;
	EVP_MAC_CTX *mac;   /* for the derivation */
	EVP_MAC_CTX *keyed; /* has the derived key */

	/* what `keyed` was derived from; NULL: nothing yet */
	char *secret, *region;
	char day[DAY_LEN];

	struct text canonical, to_sign, names;
};

/* The library fails here for want of memory or of its providers alone. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

static EVP_MAC_CTX *new_mac(EVP_MAC *hmac)
{
	static char name[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name,
						 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);

	must(ctx != NULL);
	must(EVP_MAC_CTX_set_params(ctx, params));
	return ctx;
}

struct s3_signer *s3_signer_new(void)
{
	struct s3_signer *s = mem_alloc(sizeof(*s));

	s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	s->hash = EVP_MD_CTX_new();
	s->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	must(s->sha256 && s->hash && s->hmac);
	s->mac = new_mac(s->hmac);
	s->keyed = new_mac(s->hmac);
	return s;
}

static void wipe_str(char *s)
{
	if (s)
		OPENSSL_cleanse(s, strlen(s));
	free(s);
}

void s3_signer_free(struct s3_signer *s)
{
	EVP_MAC_CTX_free(s->mac);
	EVP_MAC_CTX_free(s->keyed);
	EVP_MAC_free(s->hmac);
	EVP_MD_CTX_free(s->hash);
	EVP_MD_free(s->sha256);
	wipe_str(s->secret);
	free(s->region);
	text_close(&s->canonical);
	text_close(&s->to_sign);
	text_close(&s->names);
	free(s);
}

void s3_date(char date[S3_DATE_LEN + 1], time_t now)
{
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, S3_DATE_LEN + 1, "%Y%m%dT%H%M%SZ", &tm);
}

static void hmac(EVP_MAC_CTX *ctx, const unsigned char *key, size_t key_len,
		 const void *data, size_t len, unsigned char out[HASH_LEN])
{
	size_t n;

	must(EVP_MAC_init(ctx, key, key_len, NULL));
	must(EVP_MAC_update(ctx, data, len));
	must(EVP_MAC_final(ctx, out, &n, HASH_LEN));
}

static void derive(struct s3_signer *s, const struct s3_scope *scope,
		   const char *day)
{
	const char *words[] = { scope->region, "s3", "aws4_request" };
	unsigned char key[HASH_LEN];
	char *secret;
	size_t i;

	if (s->secret && strcmp(s->secret, scope->secret_key) == 0 &&
	    strcmp(s->region, scope->region) == 0 &&
	    memcmp(s->day, day, DAY_LEN) == 0)
		return;
	secret = mem_printf("AWS4%s", scope->secret_key);
	hmac(s->mac, (unsigned char *)secret, strlen(secret), day, DAY_LEN,
	     key);
	wipe_str(secret);
	for (i = 0; i < ARRAY_SIZE(words); i++)
		hmac(s->mac, key, HASH_LEN, words[i], strlen(words[i]), key);
	must(EVP_MAC_init(s->keyed, key, HASH_LEN, NULL));
	OPENSSL_cleanse(key, sizeof(key));

	wipe_str(s->secret);
	free(s->region);
	s->secret = mem_str(scope->secret_key);
	s->region = mem_str(scope->region);
	memcpy(s->day, day, DAY_LEN);
}

static void add_hex(struct text *t, const unsigned char bytes[HASH_LEN])
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * HASH_LEN];
	size_t i;

	for (i = 0; i < HASH_LEN; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	text_addn(t, hex, sizeof(hex));
}

/* Adds `s` as it must be encoded, however it was. */
static void add_encoded(struct text *t, const char *s, size_t len, bool path)
{
	char stack[512],
		*copy = len <= sizeof(stack) ? stack : mem_strn(s, len);

	memcpy(copy, s, len);
	text_encode(t, copy, text_decode(copy, len, false), path);
	if (copy != stack)
		free(copy);
}

static int compare_params(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "name=value" with both encoded, and a byte below all others for the =, so
 * that names sort before longer ones. */
static char *one_param(const char *s, size_t len)
{
	const char *equals = memchr(s, '=', len);
	size_t name = equals ? (size_t)(equals - s) : len;
	struct text t = { 0 };

	add_encoded(&t, s, name, false);
	text_addn(&t, "\1", 1);
	if (equals)
		add_encoded(&t, equals + 1, len - name - 1, false);
	return t.at;
}

static void add_query(struct text *t, const char *query)
{
	char *params[MAX_PARAMS];
	size_t i, n = 0, len;

	for (; *query && n < MAX_PARAMS; query += len + (query[len] == '&')) {
		len = strcspn(query, "&");
		if (len)
			params[n++] = one_param(query, len);
	}
	qsort(params, n, sizeof(params[0]), compare_params);
	for (i = 0; i < n; i++) {
		*strchr(params[i], '\1') = '=';
		text_add(t, i ? "&" : "");
		text_add(t, params[i]);
		free(params[i]);
	}
}

static int compare_headers(const void *a, const void *b)
{
	const struct s3_header *const *x = a, *const *y = b;

	return strcasecmp((*x)->name, (*y)->name);
}

static void add_lower(struct text *t, const char *s)
{
	size_t i, start = t->len;

	text_add(t, s);
	for (i = start; i < t->len; i++)
		if (t->at[i] >= 'A' && t->at[i] <= 'Z')
			t->at[i] = (char)(t->at[i] - 'A' + 'a');
}

/* Without spaces at the ends, and one for several. */
static void add_value(struct text *t, const char *s)
{
	static const char spaces[] = " \t\r\n\v\f";
	size_t word;
	bool first = true;

	for (s += strspn(s, spaces); *s; s += strspn(s, spaces)) {
		word = strcspn(s, spaces);
		if (!first)
			text_addn(t, " ", 1);
		text_addn(t, s, word);
		s += word;
		first = false;
	}
}

static void add_headers(struct s3_signer *s, const struct s3_signed_request *r)
{
	const struct s3_header *sorted[MAX_HEADERS];
	struct text *t = &s->canonical;
	size_t i, n = r->n_headers < MAX_HEADERS ? r->n_headers : MAX_HEADERS;

	for (i = 0; i < n; i++)
		sorted[i] = &r->headers[i];
	qsort(sorted, n, sizeof(sorted[0]), compare_headers);
	text_clear(&s->names);
	for (i = 0; i < n; i++) {
		text_add(&s->names, i ? ";" : "");
		add_lower(&s->names, sorted[i]->name);
		add_lower(t, sorted[i]->name);
		text_addn(t, ":", 1);
		add_value(t, sorted[i]->value);
		text_addn(t, "\n", 1);
	}
}

static void make_canonical(struct s3_signer *s,
			   const struct s3_signed_request *r)
{
	struct text *t = &s->canonical;

	text_clear(t);
	text_add(t, r->method);
	text_addn(t, "\n", 1);
	add_encoded(t, r->path, strlen(r->path), true);
	text_addn(t, "\n", 1);
	add_query(t, r->query);
	text_addn(t, "\n", 1);
	add_headers(s, r);
	text_addn(t, "\n", 1);
	text_addn(t, s->names.at ? s->names.at : "", s->names.len);
	text_addn(t, "\n", 1);
	text_add(t, r->payload);
}

static void add_scope(struct text *t, const char *day, const char *region)
{
	text_addn(t, day, DAY_LEN);
	text_addn(t, "/", 1);
	text_add(t, region);
	text_add(t, "/s3/aws4_request");
}

static void sign_text(struct s3_signer *s, const struct text *t,
		      unsigned char out[HASH_LEN])
{
	size_t n;

	must(EVP_MAC_init(s->keyed, NULL, 0, NULL)); /* the same key again */
	must(EVP_MAC_update(s->keyed, (unsigned char *)t->at, t->len));
	must(EVP_MAC_final(s->keyed, out, &n, HASH_LEN));
}

void s3_sign(struct s3_signer *s, const struct s3_scope *scope,
	     const struct s3_signed_request *r, struct text *out)
{
	unsigned char hash[HASH_LEN];

	make_canonical(s, r);
	must(EVP_DigestInit_ex(s->hash, s->sha256, NULL));
	must(EVP_DigestUpdate(s->hash, s->canonical.at, s->canonical.len));
	must(EVP_DigestFinal_ex(s->hash, hash, NULL));

	text_clear(&s->to_sign);
	text_add(&s->to_sign, "AWS4-HMAC-SHA256\n");
	text_add(&s->to_sign, r->date);
	text_addn(&s->to_sign, "\n", 1);
	add_scope(&s->to_sign, r->date, scope->region);
	text_addn(&s->to_sign, "\n", 1);
	add_hex(&s->to_sign, hash);

	derive(s, scope, r->date);
	sign_text(s, &s->to_sign, hash);
	text_add(out, "AWS4-HMAC-SHA256 Credential=");
	text_add(out, scope->access_key);
	text_addn(out, "/", 1);
	add_scope(out, r->date, scope->region);
	text_add(out, ", SignedHeaders=");
	text_addn(out, s->names.at ? s->names.at : "", s->names.len);
	text_add(out, ", Signature=");
	add_hex(out, hash);
}
