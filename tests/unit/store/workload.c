#include "workload.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static struct {
	uint64_t random;
	unsigned grants[WORKLOAD_FILES];
} w;

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

unsigned workload_share(unsigned n)
{
	const char *seeds = getenv("SIM_SEEDS");
	unsigned long share = seeds ? strtoul(seeds, NULL, 10) : 500;

	return share >= 500 ? n : (unsigned)(n * share / 500) + 1;
}

void workload_begin(uint64_t seed)
{
	memset(&w, 0, sizeof(w));
	w.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t workload_size(uint64_t file)
{
	static const uint64_t sizes[] = {
		700, 12293, 100000, 300 * KIB, 2 * MIB + 70001, MIB,
	};

	return sizes[file % ARRAY_SIZE(sizes)];
}

static uint64_t n_pages(uint64_t file)
{
	return (workload_size(file) + STORE_PAGE - 1) / STORE_PAGE;
}

static size_t page_len(uint64_t file, uint64_t page)
{
	uint64_t left = workload_size(file) - page * STORE_PAGE;

	return left < STORE_PAGE ? left : STORE_PAGE;
}

static void fill_pages(uint64_t file, uint64_t page, uint64_t n)
{
	uint64_t at = page * STORE_PAGE, end = (page + n) * STORE_PAGE;
	uint64_t size = workload_size(file);
	ssize_t rv;

	end = end < size ? end : size;
	rv = fill_range(file, size, at, end - at);
	assert_true(rv == (ssize_t)(end - at) || rv == ERR_NOT_ADMITTED ||
		    rv == -ENOSPC);
}

static void take_grant(uint64_t file)
{
	int fd = store_grant(f.store, file);

	if (fd < 0)
		return;
	close(fd);
	w.grants[file]++;
}

static void release(uint64_t file)
{
	for (; w.grants[file]; w.grants[file]--)
		store_release(f.store, file);
}

void workload_end(void)
{
	uint64_t file;

	for (file = 0; file < WORKLOAD_FILES; file++)
		release(file);
}

static void restart(void)
{
	workload_end();
	store_stop();
	store_start();
}

static void bind_other(uint64_t which)
{
	const uint8_t clusters[2][16] = { "one", "another" };

	workload_end();
	store_bind(f.store, clusters[which % 2]);
}

void workload_step(void)
{
	uint64_t what = next_random(&w.random) % 64;
	uint64_t file = next_random(&w.random) % WORKLOAD_FILES;
	uint64_t page = next_random(&w.random) % n_pages(file);

	store_touch(f.store, file);
	if (what < 32)
		fill_pages(file, page, 1);
	else if (what < 40)
		fill_pages(file, 0, n_pages(file));
	else if (what < 46)
		store_drop(f.store, file);
	else if (what < 52)
		take_grant(file);
	else if (what < 54)
		release(file);
	else if (what < 61)
		read_range(file, workload_size(file), page * STORE_PAGE,
			   page_len(file, page));
	else if (what < 63)
		restart();
	else
		bind_other(page);
}

void workload_snapshot(struct snapshot *out)
{
	uint64_t file, page;

	memset(out, 0, sizeof(*out));
	for (file = 0; file < WORKLOAD_FILES; file++)
		for (page = 0; page < n_pages(file); page++)
			if (store_present(f.store, file, page * STORE_PAGE, 1))
				out->pages[file] |= UINT32_C(1) << page;
}

static void is_pattern(uint64_t file, uint64_t offset, const char *buf,
		       size_t len)
{
	char *want = mem_alloc(len);

	pattern(file, offset, want, len);
	assert_memory_equal(buf, want, len);
	free(want);
}

/* Without turning the loop, on which a check may wait. */
static void read_at_once(uint64_t file, uint64_t offset, size_t len)
{
	struct store_req req = {
		.file = file,
		.file_size = workload_size(file),
		.offset = offset,
		.buf = mem_alloc(len),
		.len = len,
	};
	ssize_t n = store_try_read(f.store, &req);

	if (n > 0)
		is_pattern(file, offset, req.buf, (size_t)n);
	free(req.buf);
}

static void read_granted(uint64_t file)
{
	size_t size = workload_size(file);
	int fd = store_grant(f.store, file);
	char *buf;

	if (fd < 0)
		return;
	buf = mem_alloc(size + 1);
	assert_int_equal(pread(fd, buf, size + 1, 0), size);
	is_pattern(file, 0, buf, size);
	free(buf);
	close(fd);
	store_release(f.store, file);
}

void workload_read_all(void)
{
	uint64_t file, page;
	size_t len;

	for (file = 0; file < WORKLOAD_FILES; file++) {
		read_granted(file);
		for (page = 0; page < n_pages(file); page++) {
			len = page_len(file, page);
			read_at_once(file, page * STORE_PAGE, len);
			read_at_once(file, page * STORE_PAGE + len / 2,
				     len / 2 > 100 ? 100 : len / 2);
		}
	}
	for (file = 0; file < WORKLOAD_FILES; file++)
		for (page = 0; page < n_pages(file); page++)
			read_range(file, workload_size(file), page * STORE_PAGE,
				   page_len(file, page));
	for (file = 0; file < WORKLOAD_FILES; file++)
		read_granted(file);
}

static uint64_t bytes, n_found;

static int add_file(const char *path, const struct stat *st, int type,
		    struct FTW *ftw)
{
	/* A directory takes a unit, whatever the file system says. */
	bytes += type == FTW_F ? (uint64_t)st->st_blocks * 512 : 4096;
	n_found += type == FTW_F && ftw->level == 2;
	if (type == FTW_F && ftw->level == 1)
		assert_true(strcmp(path + ftw->base, "index") == 0 ||
			    strcmp(path + ftw->base, "lock") == 0);
	return 0;
}

void workload_check_space(void)
{
	struct store_totals t;

	store_totals(f.store, &t);
	bytes = n_found = 0;
	nftw(f.dir, add_file, 8, FTW_PHYS);
	bytes += n_found * 512; /* inodes */
	assert_int_equal(n_found, t.files);
	assert_in_range(t.used, bytes, bytes + 4096 * (n_found + 3));
}

void workload_use_memory(void)
{
	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
}
