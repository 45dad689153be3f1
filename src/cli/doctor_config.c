/* What is configured on this machine. */

#include <errno.h>
#include <glob.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/doctor.h"
#include "rpc/socket.h"
#include "runtime/process.h"

/* Below this a journal soon has no room. */
#define LEAST_FREE_MIB 2048

/* False: it cannot be read; doctor_config() says so. */
static bool load(struct cli *cli, struct config *c)
{
	return config_load(c, cli->config_file, NULL, NULL) == 0;
}

void doctor_config(struct cli *cli, struct finding *f)
{
	const char *file = cli->config_file ? cli->config_file : CONFIG_FILE;
	struct err err = { 0 };
	struct config c;

	if (config_load(&c, cli->config_file, NULL, &err)) {
		FOUND(f, BAD,
		      "mend that line (acached admin config --explain lists "
		      "all keys)",
		      "%.230s", err.msg);
		return;
	}
	config_close(&c);
	if (access(file, F_OK) == 0)
		FOUND(f, GOOD, NULL, "%.200s is well formed", file);
	else
		FOUND(f, GOOD, NULL, "no file, the defaults hold");
}

/* The key of the state directory at hand; to be freed. */
static char *key_file(struct cli *cli)
{
	char *dir = cli_state_dir(cli), *file;
	struct config c;

	if (load(cli, &c)) {
		file = process_key_file(&c, dir);
		config_close(&c);
	} else {
		file = mem_printf("%s/cluster.key", dir);
	}
	free(dir);
	return file;
}

void doctor_key(struct cli *cli, struct finding *f)
{
	uint8_t key[SECRET_KEY_LEN];
	char *file = key_file(cli);
	struct err err = { 0 };

	if (access(file, F_OK) < 0)
		FOUND(f, GOOD, NULL,
		      "%.150s is not there, the first start makes it", file);
	else if (secret_key_load(key, file, false, &err))
		FOUND(f, BAD,
		      "chmod 600 and chown it, or copy the cluster's key here "
		      "again",
		      "%.230s", err.msg);
	else
		FOUND(f, GOOD, NULL, "%.150s is a key", file);
	secret_wipe(key, sizeof(key));
	free(file);
}

/* ---- ports ---- */

/* Whether the file, what a role says of itself, names the port. */
static bool names_port(const char *path, const char *port)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char *line = NULL;
	const char *end;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		end = strrchr(line, ':');
		found |= end && strcmp(end, port) == 0;
	}
	if (file)
		fclose(file);
	free(line);
	return found;
}

/* Whether a role of this state directory says that it listens on the port. */
static bool is_own_port(struct cli *cli, const char *endpoint)
{
	const char *port = strrchr(endpoint, ':');
	char *dir = cli_state_dir(cli);
	char *pattern = mem_printf("%s/{*,fuse/*}/address", dir);
	bool found = false;
	glob_t files;
	size_t i;

	if (glob(pattern, GLOB_BRACE, NULL, &files) != 0)
		files.gl_pathc = 0;
	for (i = 0; i < files.gl_pathc && !found; i++)
		found = names_port(files.gl_pathv[i], port);
	globfree(&files);
	free(pattern);
	free(dir);
	return found;
}

/* False: nobody could listen there, and `f` says why. */
static bool check_port(struct cli *cli, const char *endpoint, struct finding *f)
{
	struct err err = { 0 };
	int fd = socket_listen(endpoint, NULL, &err);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (fd == -EADDRINUSE && is_own_port(cli, endpoint))
		return true;
	FOUND(f, BAD,
	      fd == -EADDRINUSE
		      ? "end the process that listens there (ss -ltnp shows "
			"it), or configure another port"
		      : "configure an address of this machine, and a port that "
			"this user may listen on",
	      "%.230s", err.msg);
	return false;
}

void doctor_ports(struct cli *cli, struct finding *f)
{
	struct config c;
	unsigned n = 0, i;
	char **at;

	if (!load(cli, &c)) {
		FOUND(f, WARN, "mend the configuration first", "not known");
		return;
	}
	const config_list lists[] = {
		c.master_listen,
		c.worker_listen,
		(char *[]){ c.master_http, NULL },
		(char *[]){ c.worker_http, NULL },
		(char *[]){ c.fuse_http, NULL },
	};
	FOUND(f, GOOD, NULL,
	      "none is configured, the kernel chooses free ones");
	for (i = 0; i < ARRAY_SIZE(lists); i++)
		for (at = lists[i]; at && *at && f->level == GOOD; at++) {
			if ((*at)[0] == '\0' || !check_port(cli, *at, f))
				continue;
			FOUND(f, GOOD, NULL,
			      "%u configured, each free or in use by acached",
			      ++n);
		}
	config_close(&c);
}

/* ---- directories ---- */

/* The nearest directory above that exists. */
static void existing(char *path)
{
	char *slash;

	while (access(path, F_OK) < 0 && (slash = strrchr(path, '/')))
		slash[slash == path] = '\0';
}

/* Whether one could write below `path`, which may not be there yet. */
static bool is_usable(const char *path, struct finding *f)
{
	char *dir = mem_str(path);
	struct stat st;

	existing(dir);
	if (stat(dir, &st) < 0 || access(dir, W_OK) < 0)
		FOUND(f, BAD,
		      "choose a directory that this user may write, or mount "
		      "its disk writable",
		      "%.200s: %m", dir);
	else if (!S_ISDIR(st.st_mode))
		FOUND(f, BAD, "choose another, or move the file away",
		      "%.200s is not a directory", dir);
	else
		FOUND(f, GOOD, NULL, "%.200s", path);
	free(dir);
	return f->level == GOOD;
}

static bool in_memory(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

void doctor_state(struct cli *cli, struct finding *f)
{
	char *dir = cli_state_dir(cli);
	unsigned long long free_mib;
	struct statvfs fs;

	if (!is_usable(dir, f)) {
		free(dir);
		return;
	}
	existing(dir);
	if (statvfs(dir, &fs) < 0) {
		FOUND(f, BAD, "choose another state.dir", "%.200s: %m", dir);
		free(dir);
		return;
	}
	free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
	if (in_memory(dir))
		FOUND(f, WARN, "choose a state.dir on a disk",
		      "%.150s lies in memory: mounts are lost when the machine "
		      "restarts",
		      dir);
	else if (free_mib < LEAST_FREE_MIB)
		FOUND(f, WARN, "make room, or choose another state.dir",
		      "only %llu MiB free for %.150s", free_mib, dir);
	else
		FOUND(f, GOOD, NULL, "%llu MiB free for %.150s", free_mib, dir);
	free(dir);
}

/* A directory of the cache, and the file system below it. */
struct place {
	const char *path;
	dev_t device;
	uint64_t wanted, size; /* bytes, of the file system all of it */
};

/* False: `f` says why nothing can be cached there. */
static bool measure(const struct config_dir *d, struct place *p,
		    struct finding *f)
{
	char *dir = mem_str(d->path);
	struct statvfs fs;
	struct stat st;
	bool ok = is_usable(dir, f);

	existing(dir);
	if (ok && (statvfs(dir, &fs) < 0 || stat(dir, &st) < 0)) {
		FOUND(f, BAD, "choose another", "%.200s: %m", dir);
		ok = false;
	}
	if (ok) {
		p->path = d->path;
		p->device = st.st_dev;
		p->size = (uint64_t)fs.f_blocks * fs.f_frsize;
		p->wanted = d->capacity.percent
				    ? p->size / 100 * d->capacity.percent
				    : d->capacity.bytes;
	}
	free(dir);
	return ok;
}

/* Whether all that lie on the disk of the last of `n` have room there. */
static bool fits(const struct place *places, unsigned n, struct finding *f)
{
	const struct place *last = &places[n - 1];
	uint64_t wanted = 0;
	unsigned i, together = 0;

	for (i = 0; i < n; i++)
		if (places[i].device == last->device) {
			wanted += places[i].wanted;
			together++;
		}
	if (wanted <= last->size)
		return true;
	FOUND(f, BAD,
	      "configure less room in worker.dirs, or another disk for each "
	      "directory",
	      "%.100s%s: %llu MiB configured on a disk of %llu MiB", last->path,
	      together > 1 ? " and others on its disk" : "",
	      (unsigned long long)(wanted >> 20),
	      (unsigned long long)(last->size >> 20));
	return false;
}

void doctor_cache(struct cli *cli, struct finding *f)
{
	struct place *places;
	struct config c;
	unsigned i;

	if (!load(cli, &c)) {
		FOUND(f, WARN, "mend the configuration first", "not known");
		return;
	}
	places = mem_array(c.worker_dirs.n, sizeof(*places));
	for (i = 0; i < c.worker_dirs.n; i++)
		if (!measure(&c.worker_dirs.at[i], &places[i], f) ||
		    !fits(places, i + 1, f))
			break;
	if (c.worker_dirs.n == 0)
		FOUND(f, GOOD, NULL, "in the state directory");
	else if (i == c.worker_dirs.n)
		FOUND(f, GOOD, NULL, "%u directories, with room for all", i);
	free(places);
	config_close(&c);
}
