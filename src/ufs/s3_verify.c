#include "ufs/s3_verify.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/crc32c.h"
#include "ufs/http_client.h"
#include "ufs/ufs.h"

enum { CRC_LEN = 4, MD5_LEN = 16, BASE64_LEN = 8 };

static const char *const words[] = { "none", "crc32c", "md5" };

bool s3_verify_parse(const char *s, enum s3_verify *out)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(s, words[i]) == 0) {
			*out = (enum s3_verify)i;
			return true;
		}
	}
	return false;
}

/* Four bytes in base64.  That of an object put together of parts has a dash
 * and their number behind it, and is not of its bytes. */
static bool take_crc32c(struct s3_digest *d, const char *text)
{
	unsigned char bytes[BASE64_LEN];

	if (strlen(text) != BASE64_LEN ||
	    strcspn(text, "=") != BASE64_LEN - 2 ||
	    text[BASE64_LEN - 1] != '=' ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)text, BASE64_LEN) < 0)
		return false;
	d->kind = S3_VERIFY_CRC32C;
	memcpy(d->bytes, bytes, CRC_LEN);
	return true;
}

static int digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static void take_md5(struct s3_digest *d, const struct ufs_version *v)
{
	int high, low;
	size_t i;

	if (v->len != 2 * MD5_LEN)
		return;
	for (i = 0; i < MD5_LEN; i++) {
		high = digit(v->bytes[2 * i]);
		low = digit(v->bytes[2 * i + 1]);
		if (high < 0 || low < 0)
			return;
		d->bytes[i] = (uint8_t)(high << 4 | low);
	}
	d->kind = S3_VERIFY_MD5;
}

void s3_digest_take(struct s3_digest *d, enum s3_verify wanted,
		    const struct http_answer *a, const struct ufs_version *v)
{
	*d = (struct s3_digest){ .kind = S3_VERIFY_NONE };
	if (wanted == S3_VERIFY_NONE ||
	    (!a->of_parts && take_crc32c(d, a->crc32c)))
		return;
	if (wanted == S3_VERIFY_MD5 && v && !a->etag_no_md5)
		take_md5(d, v);
}

static bool is_crc32c(const uint8_t wanted[CRC_LEN], const void *bytes,
		      size_t len)
{
	uint32_t crc = crc32c(0, bytes, len);
	const uint8_t got[CRC_LEN] = { (uint8_t)(crc >> 24),
				       (uint8_t)(crc >> 16),
				       (uint8_t)(crc >> 8), (uint8_t)crc };

	return memcmp(got, wanted, CRC_LEN) == 0;
}

static int check_md5(const uint8_t wanted[MD5_LEN], const void *bytes,
		     size_t len, struct err *err)
{
	unsigned char got[EVP_MAX_MD_SIZE];

	if (EVP_Digest(bytes, len, got, NULL, EVP_md5(), NULL) != 1)
		return err_set(err, -EIO,
			       "this machine forbids MD5: give "
			       "s3.verify=crc32c");
	if (memcmp(got, wanted, MD5_LEN) == 0)
		return 0;
	return err_set(err, -EIO,
		       "wrong bytes came: their MD5 is not the ETag; if it "
		       "never is, give s3.verify=crc32c");
}

int s3_digest_check(const struct s3_digest *d, const void *bytes, size_t len,
		    struct err *err)
{
	switch (d->kind) {
	case S3_VERIFY_CRC32C:
		if (is_crc32c(d->bytes, bytes, len))
			return 0;
		return err_set(err, -EIO,
			       "wrong bytes came: their CRC32C is not the "
			       "object's; if it never is, give s3.verify=none");
	case S3_VERIFY_MD5:
		return check_md5(d->bytes, bytes, len, err);
	default:
		return 0;
	}
}
