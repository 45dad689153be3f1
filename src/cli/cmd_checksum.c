/* acached fs checksum. */

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "cli/commands.h"
#include "cli/content.h"
#include "cli/text.h"

/* In the order of --algorithm's words. */
enum { MD5, SHA256, CRC32C };

static const char *const names[] = { "md5", "sha256", "crc32c" };

struct sum {
	struct cli *cli;
	int algorithm;
	EVP_MD_CTX *digest; /* NULL: crc32c */
	uint32_t crc;
	bool many;
	json_t *json;
};

static void begin(struct sum *s)
{
	s->crc = 0;
	if (s->algorithm == CRC32C)
		return;
	s->digest = EVP_MD_CTX_new();
	if (!s->digest ||
	    !EVP_DigestInit_ex(s->digest,
			       s->algorithm == MD5 ? EVP_md5() : EVP_sha256(),
			       NULL))
		abort();
}

static int on_bytes(void *arg, const void *buf, size_t n)
{
	struct sum *s = arg;

	if (!s->digest)
		s->crc = crc32c(s->crc, buf, n);
	else if (!EVP_DigestUpdate(s->digest, buf, n))
		abort();
	return 0;
}

static void end(struct sum *s, char hex[2 * EVP_MAX_MD_SIZE + 1])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned n, i;

	if (!s->digest) {
		snprintf(hex, 9, "%08x", s->crc);
		return;
	}
	if (!EVP_DigestFinal_ex(s->digest, bytes, &n))
		abort();
	for (i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	EVP_MD_CTX_free(s->digest);
	s->digest = NULL;
}

static void print(const struct sum *s, const char *path, const char *hex)
{
	if (s->json) {
		json_array_append_new(
			s->json,
			json_pack("{s:o, s:s, s:s}", "path",
				  text_json(path, strlen(path)), "algorithm",
				  names[s->algorithm], "checksum", hex));
		return;
	}
	fprintf(s->cli->out, "%ssum: %s", names[s->algorithm], hex);
	if (s->many) {
		fputs("  ", s->cli->out);
		text_name(s->cli->out, path, strlen(path));
	}
	fputc('\n', s->cli->out);
}

static int sum_file(void *arg, const char *path)
{
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	struct sum *s = arg;
	struct content c;
	int rv = content_open(&c, s->cli, path);

	if (rv)
		return rv;
	begin(s);
	rv = content_read(&c, 0, c.length, on_bytes, s);
	end(s, hex);
	if (!rv)
		print(s, path, hex);
	return rv;
}

int cmd_checksum(struct cli *cli, int argc, char **argv)
{
	struct sum s = { .cli = cli, .many = argc > 1 };

	s.algorithm = cli_choice(cli, 'a');
	if (s.algorithm == CLI_NO_SUCH_CHOICE)
		return CLI_USAGE;
	if (s.algorithm < 0)
		s.algorithm = MD5;
	s.json = cli->json ? json_array() : NULL;
	return cli_end_json(cli, s.json,
			    cli_each_path(cli, argc, argv, sum_file, &s));
}
