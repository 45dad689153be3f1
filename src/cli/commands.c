/* One row a command, one table of options a row that has any. */

#include "cli/commands.h"
#include "cli/process.h"

#include <limits.h>
#include <string.h>

const struct cli_flag cli_common[] = {
	{ OPT_MASTER, "master", "ADDRESS[,ADDRESS...]", "ask these masters" },
	{ OPT_STATE, "state", "DIR", "the cluster with this state directory" },
	{ OPT_CONFIG, "config", "FILE", "a configuration file" },
	{ OPT_JSON, "json", NULL, "print one JSON value" },
	{ OPT_HELP, "help", NULL, "show this help" },
	{ 0 },
};

static const struct cli_flag mount_flags[] = {
	{ 'o', "option", "KEY=VALUE", "an option of the storage" },
	{ 'f', "option-file", "FILE", "options, KEY=VALUE a line; - is stdin" },
	{ 'n', "no-check", NULL, "do not list one key first" },
	{ 'r', "readonly", NULL, "every mount is so far; taken for scripts" },
	{ 0 },
};

static const struct cli_flag update_mount_flags[] = {
	{ 'o', "option", "KEY=VALUE", "set this option of the storage" },
	{ 'f', "option-file", "FILE", "options, KEY=VALUE a line; - is stdin" },
	{ 'u', "unset", "KEY", "this option goes" },
	{ OPT_REPLACE, "replace", NULL, "all options that are not given go" },
	{ 'n', "no-check", NULL, "do not list one key first" },
	{ 'r', "readonly", NULL, "every mount is so far; taken for scripts" },
	{ 0 },
};

static const struct cli_flag check_flags[] = {
	{ 'r', "repair", NULL, "learn what under-storage has" },
	{ 0 },
};

static const struct cli_flag ls_flags[] = {
	{ 'l', NULL, NULL, "long form (the default)" },
	{ 'R', "recursive", NULL, "also what is below" },
	{ 'h', "human", NULL, "sizes for people" },
	{ 'f', "refresh", NULL, "ask under-storage again" },
	{ 'd', "directory", NULL,
	  "directories themselves, not what is in them" },
	{ 'r', "reverse", NULL, "in the opposite order" },
	{ OPT_SORT, "sort", "path|size|lastModificationTime|inMemoryPercentage",
	  "each directory's entries in this order" },
	{ 0 },
};

static const struct cli_flag stat_flags[] = {
	{ 'f', "format", "TEXT", "only this, with values for % and a letter" },
	{ 0 },
};

static const struct cli_flag du_flags[] = {
	{ 'h', "human", NULL, "sizes for people" },
	{ 's', "summary", NULL, "one line an argument, as without it" },
	{ 0 },
};

static const struct cli_flag human_flags[] = {
	{ 'h', "human", NULL, "sizes for people" },
	{ 0 },
};

static const struct cli_flag scrub_flags[] = {
	{ 't', "target", "worker[:ID]", "only this worker" },
	{ 'r', "rate", "BYTES",
	  "so many bytes a second and directory instead of worker.scrub-rate; "
	  "K, M, G and T are units" },
	{ 0 },
};

static const struct cli_flag end_flags[] = {
	{ 'c', "bytes", "N",
	  "so many bytes instead of 1K; K, M, G and T are units" },
	{ 0 },
};

static const struct cli_flag test_flags[] = {
	{ 'd', NULL, NULL, "it is a directory" },
	{ 'e', NULL, NULL, "it exists" },
	{ 'f', NULL, NULL, "it is a file" },
	{ 's', NULL, NULL, "it is not empty: has bytes, or entries" },
	{ 'z', NULL, NULL, "it is a file of no bytes" },
	{ 0 },
};

static const struct cli_flag checksum_flags[] = {
	{ 'a', "algorithm", "md5|sha256|crc32c", "instead of md5" },
	{ 0 },
};

static const struct cli_flag load_metadata_flags[] = {
	{ 'R', "recursive", NULL, "also what is below" },
	{ 0 },
};

static const struct cli_flag load_flags[] = {
	{ 's', "submit", NULL, "return when the job is accepted" },
	{ 'p', "progress", NULL, "how far the last load of it is" },
	{ OPT_STOP, "stop", NULL, "end the load of it that runs" },
	{ 'i', "index", "FILE",
	  "load the paths in FILE, one a line; - is stdin" },
	{ 'v', "verify", NULL,
	  "then read all from disk and compare it with its checksums" },
	{ OPT_FORMAT, "format", "TEXT|JSON",
	  "of --progress, as in the old system" },
	{ OPT_VERBOSE, "verbose", NULL, "taken for scripts" },
	{ 0 },
};

static const struct cli_flag config_flags[] = {
	{ 'e', "explain", NULL, "every key with its help" },
	{ 's', "set", "KEY=VALUE", "as given to a role" },
	{ 0 },
};

static const struct cli_flag journal_flags[] = {
	{ 'a', "after", "INDEX", "only entries after this one" },
	{ 0 },
};

static const struct cli_flag log_level_flags[] = {
	{ 'n', "logName", "MODULE",
	  "of this module alone: rpc, s3, store, ..." },
	{ 't', "target", "PROCESS", "one of " PROCESS_TARGETS },
	{ 'l', "level", "error|warn|info|debug", "log this and what is above" },
	{ 0 },
};

static const struct cli_flag target_flags[] = {
	{ 't', "target", "PROCESS", "one of " PROCESS_TARGETS },
	{ 0 },
};

static const struct cli_flag top_flags[] = {
	{ 'i', "interval", "SECONDS", "from one to the next, 2 if not given" },
	{ 'n', "count", "N", "end after so many" },
	{ 'l', "lines", "N", "of the busiest paths, 10 if not given" },
	{ 0 },
};

static const struct cli_flag none[] = { { 0 } };

const struct cli_command cli_commands[] = {
	/* group, name, synopsis, summary, details, options, arguments,
	 * function */
	{ "fs", "cat", "PATH...", "print files", NULL, none, 1, INT_MAX,
	  cmd_cat },
	{ "fs", "checkConsistency", "PATH",
	  "compare what is known with under-storage",
	  "Of the path and all that is known below it: prints what differs, is "
	  "missing or is new there. The status is 1 if anything is, unless it "
	  "was repaired.",
	  check_flags, 1, 1, cmd_check_consistency },
	{ "fs", "checksum", "PATH...", "a checksum of the content of files",
	  "Read through the cache. Of several files each line ends with the "
	  "path.",
	  checksum_flags, 1, INT_MAX, cmd_checksum },
	{ "fs", "count", "PATH...", "how many files, directories and bytes",
	  "Of all that is below; the directory itself is not counted.",
	  human_flags, 1, INT_MAX, cmd_count },
	{ "fs", "distributedLoad", "[PATH]", "the same as load", NULL,
	  load_flags, 0, 1, cmd_load },
	{ "fs", "du", "PATH...", "how much there is, and how much is cached",
	  NULL, du_flags, 1, INT_MAX, cmd_du },
	{ "fs", "explain", "PATH", "where the bytes of a file are, and why",
	  "For each worker that is alive: how many bytes of the file and of "
	  "each of its blocks it has, and why the last open was a hit or a "
	  "miss.",
	  none, 1, 1, cmd_explain },
	{ "fs", "free", "PATH...", "drop what is cached",
	  "Directories with all that is below. Under-storage and names stay as "
	  "they are.",
	  none, 1, INT_MAX, cmd_free },
	{ "fs", "getCapacityBytes", "", "the room of all workers",
	  "Of those that are alive.", none, 0, 0, cmd_capacity },
	{ "fs", "getUsedBytes", "", "how much of it is used",
	  "Of the workers that are alive.", none, 0, 0, cmd_used },
	{ "fs", "head", "PATH...", "print the first bytes of files", NULL,
	  end_flags, 1, INT_MAX, cmd_head },
	{ "fs", "help", "[COMMAND]", "show the commands, or one", NULL, none, 0,
	  1, cmd_help },
	{ "fs", "leader", "", "which master leads", NULL, none, 0, 0,
	  cmd_leader },
	{ "fs", "load", "[PATH]", "cache all that is below a path",
	  "A job of the master: it goes on if this command is interrupted, "
	  "and after a restart. It ends well only when every file was found "
	  "complete in the cache. The failure rate of --progress is that of "
	  "files.",
	  load_flags, 0, 1, cmd_load },
	{ "fs", "loadMetadata", "PATH", "look at under-storage again", NULL,
	  load_metadata_flags, 1, 1, cmd_load_metadata },
	{ "fs", "location", "PATH", "which workers have a file", NULL, none, 1,
	  1, cmd_location },
	{ "fs", "ls", "PATH...", "list directories",
	  "Columns: mode, owner, group, bytes, PERSISTED (NOT_PERSISTED "
	  "above all mounts), time of the last "
	  "change, how much is cached or DIR, path.",
	  ls_flags, 1, INT_MAX, cmd_ls },
	{ "fs", "masterInfo", "", "which master leads, and which there are",
	  NULL, none, 0, 0, cmd_master_info },
	{ "fs", "mount", "[PATH URI]",
	  "attach under-storage; without arguments, what is attached",
	  "The same URI again at the same path only changes the options. Keys "
	  "are stored and sent encrypted, and shown as ******. Options are "
	  "those of the storage, see UNDER-STORAGES in acached(1), and uid=, "
	  "gid= and umask= (octal): how files appear.",
	  mount_flags, 0, 2, cmd_mount },
	{ "fs", "stat", "PATH", "what is known of a file",
	  "First as the old system printed it, in so far as it is known here, "
	  "then for people. With --format each of %N (name), %z (bytes), %u, "
	  "%g "
	  "(owner, group), %y, %Y (last change, UTC, and in ms), %b (blocks) "
	  "and %i (id) in TEXT is replaced.",
	  stat_flags, 1, 1, cmd_stat },
	{ "fs", "tail", "PATH...", "print the last bytes of files", NULL,
	  end_flags, 1, INT_MAX, cmd_tail },
	{ "fs", "test", "PATH", "a question about a path, for scripts",
	  "The status is 0 for yes, 1 for no, and 3 if that could not be found "
	  "out.",
	  test_flags, 1, 1, cmd_test },
	{ "fs", "unmount", "PATH", "detach under-storage",
	  "What was cached of it goes; under-storage stays as it is.", none, 1,
	  1, cmd_unmount },
	{ "fs", "updateMount", "PATH", "change the options of a mount",
	  "What is known and cached stays. Options that are not named stay as "
	  "they are. One key is listed with the new options first, and if that "
	  "fails nothing has changed.",
	  update_mount_flags, 1, 1, cmd_update_mount },
	{ "admin", "config", "", "the configuration that holds",
	  "Each key with its value and where that comes from.", config_flags, 0,
	  0, cmd_config },
	{ "admin", "doctor", "", "look for what is wrong on this machine",
	  "Each finding says how to mend it. 1 if there is a problem.", none, 0,
	  0, cmd_doctor },
	{ "admin", "fsck", "", "check the tree and what the workers hold",
	  "Looks at the tree and the checkpoints of the master, at each "
	  "worker's index and whether its backing files are there, and whether "
	  "the master and the workers agree on what is held. It reads no "
	  "cached "
	  "bytes (that is scrub) and changes nothing, but a checkpoint that is "
	  "damaged is made anew. The exit status is 0 if nothing is wrong, 1 "
	  "if "
	  "something is, 3 if a worker could not be asked.",
	  none, 0, 0, cmd_fsck },
	{ "admin", "help", "[COMMAND]", "show the commands, or one", NULL, none,
	  0, 1, cmd_help },
	{ "admin", "journal", "dump", "the journal, a line a record", NULL,
	  journal_flags, 1, 1, cmd_journal },
	{ "admin", "logLevel", "", "what each process logs, and change it",
	  "Without --level it only shows. Without --target it is about the "
	  "master, every worker that is alive, and the mountpoints whose state "
	  "directory is on this machine. A change lasts until the process "
	  "ends; for good, set log.level.",
	  log_level_flags, 0, 0, cmd_log_level },
	{ "admin", "metrics", "[NAME]", "the numbers that each process counts",
	  "In the text format of Prometheus, with a line \"# process\" before "
	  "each; of those whose name begins with NAME, if it is given.",
	  target_flags, 0, 1, cmd_metrics },
	{ "admin", "report", "", "the state of the cluster", NULL, none, 0, 0,
	  cmd_report },
	{ "admin", "scrub", "[start|status]",
	  "look for cached bytes that are not what they were",
	  "status, the default, prints how far each worker has come; start "
	  "begins where no scrub is under way: all that is cached is read from "
	  "the disks and compared with its checksums. What is damaged is "
	  "dropped, named in the worker's log, counted, and fetched again when "
	  "it is read.",
	  scrub_flags, 0, 1, cmd_scrub },
	{ "admin", "top", "",
	  "what is read right now, from where, and which files",
	  "A screen at a terminal, else a line each time, with --json an "
	  "object: "
	  "reads by source, the share of opens that found all cached, requests "
	  "to S3, and the files that were opened most in the last minute. "
	  "Reads "
	  "and opens are those of the mountpoints on this machine, or, if it "
	  "has none, those that workers saw; with --json they are counts of "
	  "the "
	  "interval. What the kernel has in memory is nobody's to count.",
	  top_flags, 0, 0, cmd_top },
	{ 0 },
};

const struct cli_command *cli_find(const char *group, const char *name)
{
	const struct cli_command *c;

	for (c = cli_commands; c->group; c++)
		if (strcmp(c->group, group) == 0 && strcmp(c->name, name) == 0)
			return c;
	return NULL;
}
