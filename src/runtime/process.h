/*
 * What makes a program a process of acached: its state directory and locks, its
 * life in the background, and what it tells whoever started it.
 *
 * The state directory has a folder for each role (fuse: one a mountpoint), in
 * use by one process at a time, cluster.key, acached.pid and log/.
 */
#pragma once

#include "base/err.h"
#include "runtime/config.h"

/* state.dir, or the default; the caller frees it. */
char *process_state_dir(const struct config *c);

/* The folder of a role; `mountpoint` is fuse's, else NULL. */
char *process_role_dir(const char *state_dir, const char *role,
		       const char *mountpoint);

/* cluster.key-file, or cluster.key in `state_dir`. */
char *process_key_file(const struct config *c, const char *state_dir);

/* master.addresses, or the socket of the master in `state_dir`; to be freed by
 * config_list_free(). */
config_list process_masters(const struct config *c, const char *state_dir);

/* Makes a directory with those above it; one that is there stays. */
int process_make_dir(const char *dir, int mode, struct err *err) MUST_CHECK;

/*
 * Makes and locks the folder of a role: *fd holds the lock, and so does every
 * process that inherits it.  -EBUSY: another has it; the sentence names its
 * pid.  One whose holder is dead is waited for: its children are about to die.
 */
int process_lock(const char *dir, int *fd, struct err *err) MUST_CHECK;

/* DIR/acached.pid: our own; removed only while it is still that. */
int process_pid_write(const char *state_dir, struct err *err) MUST_CHECK;
void process_pid_remove(const char *state_dir);

/*
 * Goes on in the background, in a session of its own: returns 0 there.  The
 * process that was started waits for process_ready() or process_failed(), tells
 * its user and exits with 0 or 1.
 */
int process_background(struct err *err) MUST_CHECK;
/* Standard input and output are /dev/null from now on, and errors go to `log`.
 */
int process_detach(const char *log, struct err *err) MUST_CHECK;

/* To the user: one line "ready ...", or a sentence; to systemd too. */
void process_ready(const char *addresses);
void process_failed(const char *why);

/* sd_notify(3): "STOPPING=1"; nothing if systemd does not listen. */
void process_notify(const char *state);

/* Signals, descriptors and name of every process of ours. */
void process_init(const char *role);
