/*
 * The under-storage of one mount, asked from the master's loop.
 *
 * Under-storage traffic (listings, XML, TLS) has a loop of its own; what comes
 * back is copied into a page, posted to the master's loop, and called back
 * there.  In a simulated cluster both are the same loop.  Everything here is
 * called on the master's loop.
 */
#pragma once

#include "ufs/ufs.h"
#include "wire/journal.h"

struct storage_env {
	struct loop *loop;     /* the master's */
	struct loop *ufs_loop; /* where drivers run */
	struct workpool *pool; /* for drivers that block */
	/* ufs_open(), or a test's. */
	int (*open)(struct ufs **out, const struct ufs_env *env,
		    const char *uri, struct err *err);
	const char *const *own; /* see struct ufs_env */
};

/* Who owns what has no owner, and what its mode loses. */
struct storage_look {
	uint32_t uid, gid, umask;
};

struct storage;

/* Copies all it is given; asks the storage nothing.  One reference. */
struct storage *storage_new(const struct storage_env *env, const char *uri,
			    const struct ufs_option *options, unsigned n,
			    const struct storage_look *look);
void storage_get(struct storage *s);
void storage_put(struct storage *s);

/* What was found, as the journal wants it. */
struct storage_page {
	struct found *at;
	size_t n;
	char *bytes; /* what they point to */
};

/* A request; the caller's memory, left alone until `done`. */
struct storage_req {
	int code;
	struct err err;
	struct storage_page page; /* the caller's: storage_page_free() */
	bool more;                /* list: storage_list_more() has more */
	unsigned skipped;         /* list: names that this page has not */
	void (*done)(struct storage_req *r);

	/* private */
	struct storage *storage;
	char *path;
	struct ufs_req ufs;
	struct task task;
};

/* Only opens it: whether the driver takes the URI and the options. */
void storage_check(struct storage *s, struct storage_req *r,
		   void (*done)(struct storage_req *r));
/* Calls back once, with a page of one entry, whose name is not set. */
void storage_stat(struct storage *s, struct storage_req *r, const char *path,
		  void (*done)(struct storage_req *r));
/* Calls back once a page, of about `limit` entries. */
void storage_list(struct storage *s, struct storage_req *r, const char *path,
		  unsigned limit, void (*done)(struct storage_req *r));
void storage_list_more(struct storage_req *r);
/* Releases what a finished request holds, the page too. */
void storage_req_close(struct storage_req *r);
void storage_page_free(struct storage_page *p);
