#include "lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tempdir.h"
#include "runtime/secret.h"

static struct fixture {
	char *dir;
	char file[4096];
	uint8_t key[SECRET_KEY_LEN];
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	size_t i;

	f = (struct fixture){ 0 };
	f.dir = tempdir_make();
	snprintf(f.file, sizeof(f.file), "%s/cluster.key", f.dir);
	for (i = 0; i < sizeof(f.key); i++)
		f.key[i] = (uint8_t)i;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	tempdir_remove(f.dir);
	return 0;
}

static void keep(const char *text, mode_t mode)
{
	tempdir_file(f.dir, "cluster.key", text);
	assert_int_equal(chmod(f.file, mode), 0);
}

static void a_missing_key_is_made_once(void **state ATTR_UNUSED)
{
	uint8_t again[SECRET_KEY_LEN];
	struct stat st;

	assert_int_equal(secret_key_load(f.key, f.file, true, NULL), 0);
	assert_int_equal(stat(f.file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 65);
	assert_int_equal(secret_key_load(again, f.file, true, NULL), 0);
	assert_memory_equal(again, f.key, sizeof(again));
}

static void without_create_it_must_exist(void **state ATTR_UNUSED)
{
	assert_int_equal(secret_key_load(f.key, f.file, false, &f.err),
			 -ENOENT);
	assert_non_null(strstr(f.err.msg, "cluster.key: open: No such file"));
}

static void a_key_is_read_from_its_digits(void **state ATTR_UNUSED)
{
	uint8_t key[SECRET_KEY_LEN];

	keep("000102030405060708090a0b0c0d0e0f"
	     "101112131415161718191A1B1C1D1E1F\n",
	     0600);
	assert_int_equal(secret_key_load(key, f.file, false, NULL), 0);
	assert_memory_equal(key, f.key, sizeof(key));
}

static void a_key_that_others_may_read_is_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(secret_key_load(f.key, f.file, true, NULL), 0);
	chmod(f.file, 0644);
	assert_int_equal(secret_key_load(f.key, f.file, true, &f.err), -EACCES);
	assert_non_null(strstr(f.err.msg, "mode 644"));
}

static void what_is_no_key_is_refused(void **state ATTR_UNUSED)
{
	keep("", 0600);
	assert_int_equal(secret_key_load(f.key, f.file, true, NULL), -EINVAL);
	keep("0001", 0600);
	assert_int_equal(secret_key_load(f.key, f.file, true, NULL), -EINVAL);
	keep("g00102030405060708090a0b0c0d0e0f"
	     "101112131415161718191a1b1c1d1e1f",
	     0600);
	assert_int_equal(secret_key_load(f.key, f.file, true, NULL), -EINVAL);
}

static void a_sealed_value_opens_only_with_key_and_context(
	void **state ATTR_UNUSED)
{
	uint8_t sealed[6 + SECRET_OVERHEAD], twice[sizeof(sealed)], plain[6];
	size_t i;

	secret_seal(f.key, "mount /a", "secret", 6, sealed);
	secret_seal(f.key, "mount /a", "secret", 6, twice);
	assert_memory_not_equal(sealed, twice, sizeof(sealed));
	assert_int_equal(
		secret_open(f.key, "mount /a", sealed, sizeof(sealed), plain),
		0);
	assert_memory_equal(plain, "secret", 6);
	assert_int_equal(
		secret_open(f.key, "mount /b", sealed, sizeof(sealed), plain),
		-EBADMSG);
	for (i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_int_equal(secret_open(f.key, "mount /a", sealed,
					     sizeof(sealed), plain),
				 -EBADMSG);
		sealed[i] ^= 1;
	}
	f.key[0] ^= 1;
	assert_int_equal(
		secret_open(f.key, "mount /a", sealed, sizeof(sealed), plain),
		-EBADMSG);
	assert_int_equal(secret_open(f.key, "", sealed, 5, plain), -EBADMSG);
}

static void nothing_can_be_sealed_too(void **state ATTR_UNUSED)
{
	uint8_t sealed[SECRET_OVERHEAD];
	char none;

	secret_seal(f.key, "c", NULL, 0, sealed);
	assert_int_equal(secret_open(f.key, "c", sealed, sizeof(sealed), &none),
			 0);
}

/* By another implementation (python's hmac). */
static void macs_and_derived_keys_are_the_standards(void **state ATTR_UNUSED)
{
	static const char mac[] = "\xf0\x13\x37\x29\xc4\x16\x3d\xed\xe8\x1e\x21"
				  "\xcd\x47\x83\x92\x56"
				  "\xda\x58\x17\x12\x38\xc8\xa0\xd8\x74\x39\x7c"
				  "\x73\xb1\x4e\x1e\x47";
	static const char derived[] = "\x13\xcc\x72\x16\xb8\xd2\x01\xf3\x21\xeb"
				      "\x7e\x4d\x7e\x67\xad\x3e"
				      "\xa7\x12\xbe\xcb\x15\x1d\x17\xe7\x87\x80"
				      "\x79\x86\x7e\xa4\x5f\x5d";
	uint8_t out[32];

	secret_mac(f.key, "abc", 3, out);
	assert_memory_equal(out, mac, 32);
	secret_derive(f.key, "options", out);
	assert_memory_equal(out, derived, 32);
}

static void equal_is_equal(void **state ATTR_UNUSED)
{
	assert_true(secret_equal("abc", "abd", 2));
	assert_false(secret_equal("abc", "abd", 3));
}

static void what_is_wiped_is_gone(void **state ATTR_UNUSED)
{
	static const uint8_t zero[SECRET_KEY_LEN];

	secret_random(f.key, sizeof(f.key));
	assert_memory_not_equal(f.key, zero, sizeof(zero));
	secret_wipe(f.key, sizeof(f.key));
	assert_memory_equal(f.key, zero, sizeof(zero));
}

TEST_MAIN(TEST_WITH(a_missing_key_is_made_once),
	  TEST_WITH(without_create_it_must_exist),
	  TEST_WITH(a_key_is_read_from_its_digits),
	  TEST_WITH(a_key_that_others_may_read_is_refused),
	  TEST_WITH(what_is_no_key_is_refused),
	  TEST_WITH(a_sealed_value_opens_only_with_key_and_context),
	  TEST_WITH(nothing_can_be_sealed_too),
	  TEST_WITH(macs_and_derived_keys_are_the_standards),
	  TEST_WITH(equal_is_equal), TEST_WITH(what_is_wiped_is_gone))
