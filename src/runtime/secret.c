#include "runtime/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define NONCE_LEN 12
#define TAG_LEN   16

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static int parse_key(uint8_t key[SECRET_KEY_LEN], const char *text, size_t len,
		     struct err *err)
{
	size_t i;
	int high, low;

	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (len != 2 * SECRET_KEY_LEN)
		return err_set(err, -EINVAL,
			       "a key is 64 hexadecimal digits, not %zu bytes",
			       len);
	for (i = 0; i < SECRET_KEY_LEN; i++) {
		high = hex_digit(text[2 * i]);
		low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return err_set(err, -EINVAL,
				       "a key is 64 hexadecimal digits");
		key[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int read_key(uint8_t key[SECRET_KEY_LEN], int fd, struct err *err)
{
	char text[256];
	struct stat st;
	ssize_t n;
	int rv;

	if (fstat(fd, &st))
		return err_set(err, -errno, "stat: %m");
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		return err_set(err, -EACCES,
			       "mode %03o lets others at it: chmod 600",
			       (unsigned)(st.st_mode & 0777));
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return err_set(err, -errno, "read: %m");
	rv = parse_key(key, text, (size_t)n, err);
	secret_wipe(text, sizeof(text));
	return rv;
}

/* A new key in the open file `fd`, on the disk. */
static int write_key(int fd)
{
	uint8_t key[SECRET_KEY_LEN];
	char text[2 * SECRET_KEY_LEN + 2];
	size_t i;
	int rv = 0;

	secret_random(key, sizeof(key));
	for (i = 0; i < sizeof(key); i++)
		snprintf(text + 2 * i, 3, "%02x", key[i]);
	text[2 * sizeof(key)] = '\n';
	if (write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1 ||
	    fsync(fd))
		rv = errno ? -errno : -EIO;
	secret_wipe(key, sizeof(key));
	secret_wipe(text, sizeof(text));
	return rv;
}

static void sync_directory_of(const char *file)
{
	char *dir = mem_str(file), *slash = strrchr(dir, '/');
	int fd;

	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(dir);
}

/* Leaves a key in `file`, ours or that of somebody who was faster. */
static int create_key(const char *file, struct err *err)
{
	char *temp = mem_printf("%s.XXXXXX", file);
	int fd, rv = 0;

	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		rv = err_set(err, -errno, "create: %m");
		goto out;
	}
	rv = write_key(fd);
	close(fd);
	if (!rv && link(temp, file) && errno != EEXIST)
		rv = -errno;
	if (rv)
		err_set(err, rv, "create: %s", err_text(rv));
	unlink(temp);
	sync_directory_of(file);
out:
	free(temp);
	return rv;
}

int secret_key_load(uint8_t key[SECRET_KEY_LEN], const char *file, bool create,
		    struct err *err)
{
	int fd, rv = 0;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && create) {
		rv = create_key(file, err);
		if (!rv)
			fd = open(file, O_RDONLY | O_CLOEXEC);
	}
	if (!rv && fd < 0)
		rv = err_set(err, -errno, "open: %m");
	if (!rv)
		rv = read_key(key, fd, err);
	if (fd >= 0)
		close(fd);
	return rv ? err_wrap(err, rv, "cluster key %s", file) : 0;
}

void secret_mac(const uint8_t key[SECRET_KEY_LEN], const void *data, size_t len,
		uint8_t out[32])
{
	if (!HMAC(EVP_sha256(), key, SECRET_KEY_LEN, data, len, out, NULL))
		abort();
}

void secret_derive(const uint8_t key[SECRET_KEY_LEN], const char *purpose,
		   uint8_t out[SECRET_KEY_LEN])
{
	static const uint8_t salt[SECRET_KEY_LEN]; /* none, says RFC 5869 */
	uint8_t extracted[SECRET_KEY_LEN], info[64];
	size_t len = strlen(purpose);

	if (len >= sizeof(info))
		abort();
	secret_mac(salt, key, SECRET_KEY_LEN, extracted);
	memcpy(info, purpose, len);
	info[len] = 1; /* the first block, and all that is needed */
	secret_mac(extracted, info, len + 1, out);
	secret_wipe(extracted, sizeof(extracted));
}

static void must(int ok)
{
	if (ok != 1)
		abort();
}

void secret_seal(const uint8_t key[SECRET_KEY_LEN], const char *context,
		 const void *plain, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *sealed = out + NONCE_LEN;
	int n;

	secret_random(out, NONCE_LEN);
	must(c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, out));
	must(EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)context,
			       (int)strlen(context)));
	if (len)
		must(EVP_EncryptUpdate(c, sealed, &n, plain, (int)len));
	must(EVP_EncryptFinal_ex(c, sealed + len, &n));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN,
				 sealed + len));
	EVP_CIPHER_CTX_free(c);
}

int secret_open(const uint8_t key[SECRET_KEY_LEN], const char *context,
		const void *sealed, size_t len, void *out)
{
	const uint8_t *nonce = sealed, *body = nonce + NONCE_LEN;
	EVP_CIPHER_CTX *c;
	uint8_t tag[TAG_LEN];
	int n, ok;

	if (len < SECRET_OVERHEAD)
		return -EBADMSG;
	len -= SECRET_OVERHEAD;
	memcpy(tag, body + len, TAG_LEN);
	c = EVP_CIPHER_CTX_new();
	must(c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce));
	must(EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)context,
			       (int)strlen(context)));
	if (len)
		must(EVP_DecryptUpdate(c, out, &n, body, (int)len));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag));
	ok = EVP_DecryptFinal_ex(c, (uint8_t *)out + len, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		secret_wipe(out, len);
	return ok ? 0 : -EBADMSG;
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void secret_random(void *out, size_t len)
{
	uint8_t *p = out;
	ssize_t n;

	while (len > 0) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void secret_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}
