#include "lib/test.h"

#include <stdlib.h>

#include "base/mem.h"
#include "master/entry.h"

static const uint8_t uuid[16] = "0123456789abcdef";

static struct fixture {
	struct entry entry;
	uint8_t *bytes;
	size_t len;
	struct entry_reader reader;
	struct journal_record record;
	msgpack_zone zone;
	struct err err;
} f;

static int setup(void **state ATTR_UNUSED)
{
	f = (struct fixture){ 0 };
	entry_init(&f.entry);
	assert_true(msgpack_zone_init(&f.zone, 1024));
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	entry_close(&f.entry);
	msgpack_zone_destroy(&f.zone);
	free(f.bytes);
	return 0;
}

static void add_unmount(const char *path)
{
	struct journal_record r = { .type = JOURNAL_unmount };

	r.unmount.path.ptr = path;
	r.unmount.path.len = strlen(path);
	entry_add(&f.entry, &r);
}

static void write_entry(void)
{
	f.len = entry_size(&f.entry);
	f.bytes = mem_alloc(f.len);
	entry_write(&f.entry, uuid, 0x1234, f.bytes);
}

static int open_entry(void)
{
	return entry_open(&f.reader, f.bytes, f.len, &f.err);
}

static int next(void)
{
	return entry_next(&f.reader, &f.record, &f.zone, &f.err);
}

static void the_next_is_unmount(const char *path)
{
	assert_int_equal(next(), 1);
	assert_int_equal(f.record.type, JOURNAL_unmount);
	assert_int_equal(f.record.unmount.path.len, strlen(path));
	assert_memory_equal(f.record.unmount.path.ptr, path, strlen(path));
}

static void records_come_back_in_order(void **state ATTR_UNUSED)
{
	add_unmount("/a");
	add_unmount("/bcd");
	write_entry();
	assert_int_equal(f.len % 8, 0);
	assert_int_equal(open_entry(), 0);
	assert_memory_equal(f.reader.uuid, uuid, 16);
	assert_int_equal(f.reader.index, 0x1234);
	the_next_is_unmount("/a");
	the_next_is_unmount("/bcd");
	assert_int_equal(next(), 0);
}

static void the_bytes_on_disk_are_these(void **state ATTR_UNUSED)
{
	static const char golden[] =
		"ACJ1\2\0\0\0\1\0\0\0\x0d\0\0\0"
		"0123456789abcdef"
		"\x34\x12\0\0\0\0\0\0"
		"\x09\0\0\0\x93\x03\x93\0\0\0\x91\xa1/\0\0\0"
		"\xbb\x57\xab\x27\x41\x63\x6a\x45";

	add_unmount("/");
	write_entry();
	assert_int_equal(f.len, sizeof(golden) - 1);
	assert_memory_equal(f.bytes, golden, f.len);
}

static void a_newer_version_is_refused(void **state ATTR_UNUSED)
{
	add_unmount("/a");
	write_entry();
	f.bytes[4] = 7;
	assert_int_equal(open_entry(), ERR_BAD_MESSAGE);
	assert_non_null(strstr(f.err.msg, "version 7"));
}

static void an_entry_cut_off_is_refused(void **state ATTR_UNUSED)
{
	size_t whole;

	add_unmount("/a");
	write_entry();
	for (whole = f.len, f.len = 0; f.len < whole; f.len++)
		assert_int_equal(open_entry(), ERR_BAD_MESSAGE);
}

static void every_flipped_bit_is_seen(void **state ATTR_UNUSED)
{
	size_t i;

	add_unmount("/a");
	add_unmount("/b");
	write_entry();
	for (i = 0; i < 8 * f.len; i++) {
		f.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(open_entry(), ERR_BAD_MESSAGE);
		f.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(open_entry(), 0);
}

static void an_unknown_record_cannot_be_skipped(void **state ATTR_UNUSED)
{
	add_unmount("/a");
	assert_int_equal(f.entry.payload.data[5], JOURNAL_unmount);
	f.entry.payload.data[5] = 0x7f;
	write_entry();
	assert_int_equal(open_entry(), 0);
	assert_int_equal(next(), ERR_BAD_MESSAGE);
}

static void a_record_longer_than_its_entry_is_refused(void **state ATTR_UNUSED)
{
	add_unmount("/a");
	f.entry.payload.data[0] = 0x7f;
	write_entry();
	assert_int_equal(open_entry(), 0);
	assert_int_equal(next(), ERR_BAD_MESSAGE);
}

TEST_MAIN(TEST_WITH(records_come_back_in_order),
	  TEST_WITH(the_bytes_on_disk_are_these),
	  TEST_WITH(a_newer_version_is_refused),
	  TEST_WITH(an_entry_cut_off_is_refused),
	  TEST_WITH(every_flipped_bit_is_seen),
	  TEST_WITH(an_unknown_record_cannot_be_skipped),
	  TEST_WITH(a_record_longer_than_its_entry_is_refused))
