/* What must be known of a file to fetch it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "worker/state.h"

/* Files that nobody uses but are still known. */
#define MAX_IDLE 65536

/* Files behind one that is asked for that are asked for with it.  Of other
 * workers' copies is asked one by one. */
#define NEXT 16

/* How long a failure is told to who asks again. */
#define FAILED_MS 250

struct file *file_get(struct worker *w, uint64_t id)
{
	struct file *f = map_get(&w->files.by_id, id);

	if (!f) {
		f = mem_alloc(sizeof(*f));
		f->w = w;
		f->id = id;
		list_init(&f->link);
		list_init(&f->waiting);
		list_init(&f->flights);
		map_put(&w->files.by_id, id, f);
	} else if (f->users == 0) {
		list_remove(&f->link);
		w->files.n_idle--;
	}
	f->users++;
	return f;
}

static void forget(struct file *f)
{
	if (map_get(&f->w->files.by_id, f->id) == f)
		map_remove(&f->w->files.by_id, f->id);
	free(f->why);
	free(f->path);
	free(f);
}

void file_put(struct file *f)
{
	struct files *files = &f->w->files;

	if (--f->users)
		return;
	if (!f->known || f->dropped) {
		forget(f);
		return;
	}
	list_push_back(&files->idle, &f->link);
	if (++files->n_idle <= MAX_IDLE)
		return;
	files->n_idle--;
	forget(list_entry(list_pop_front(&files->idle), struct file, link));
}

static int learn(struct file *f, const struct file_info *info, struct err *err)
{
	if (info->version.len > sizeof(f->version.bytes))
		return err_set(err, -EOVERFLOW, "version too long");
	f->mount = info->mount;
	f->length = info->length;
	f->path = mem_strn(info->path.ptr, info->path.len);
	f->version.len = (uint8_t)info->version.len;
	if (info->version.len)
		memcpy(f->version.bytes, info->version.ptr, info->version.len);
	f->known = true;
	return 0;
}

static void learn_holders(struct file *f, const struct file_reply *r)
{
	f->epoch = r->epoch;
	for (f->n_holders = 0;
	     f->n_holders < r->holders.n && f->n_holders < FILE_HOLDERS;
	     f->n_holders++)
		f->holders[f->n_holders] = (struct file_holder){
			.worker = r->holders.at[f->n_holders],
		};
}

static void tell_all(struct file *f, int code, const struct err *err)
{
	struct list waiting, *link;

	list_take(&waiting, &f->waiting);
	while ((link = list_pop_front(&waiting)))
		list_entry(link, struct file_wait, link)
			->done(list_entry(link, struct file_wait, link), code,
			       code ? err : NULL);
}

/* Files that will be wanted soon, if none knows better. */
static void learn_next(struct worker *w, const schema_file_info_array *next)
{
	struct err err;
	struct file *f;
	size_t i;

	for (i = 0; i < next->n; i++) {
		if (map_get(&w->files.by_id, next->at[i].id))
			continue;
		f = file_get(w, next->at[i].id);
		(void)learn(f, &next->at[i], &err);
		file_put(f);
	}
}

static void on_file(struct upcall *call, int code, const void *reply)
{
	struct file *f = container_of(call, struct file, call);
	const struct file_reply *r = reply;

	if (!code && !f->known)
		code = learn(f, &r->file, &call->pending.err);
	else if (code == -ENOENT)
		code = -ESTALE; /* it had this id once */
	if (!code) {
		learn_holders(f, r);
		learn_next(f->w, &r->next);
	}
	f->asking = false;
	tell_all(f, code, &call->pending.err);
	file_put(f);
}

/* As far as the master can say now: what is known of the file suffices. */
static void on_holders(struct upcall *call, int code, const void *reply)
{
	struct file *f = container_of(call, struct file, call);

	if (!code)
		learn_holders(f, reply);
	else
		f->epoch = f->w->control.set.epoch;
	f->asking = false;
	tell_all(f, 0, NULL);
	file_put(f);
}

bool file_know_holders(struct file *f, struct file_wait *wait)
{
	const struct file_request req = { .id = f->id };
	const struct control *c = &f->w->control;

	if (f->epoch >= c->set.epoch || c->set.n < 2 || c->stopped)
		return true;
	list_push_back(&f->waiting, &wait->link);
	if (!f->asking) {
		f->asking = true;
		f->users++;
		master_tell(f->w, RPC_MASTER_METHOD(file), &f->call, &req,
			    on_holders);
	}
	return false;
}

bool file_know(struct file *f, struct file_wait *wait)
{
	const struct file_request req = {
		.id = f->id,
		.next = f->w->control.set.n < 2 ? NEXT : 0,
	};

	if (f->known)
		return true;
	list_push_back(&f->waiting, &wait->link);
	if (!f->asking) {
		f->asking = true;
		f->users++;
		master_ask(f->w, RPC_MASTER_METHOD(file), &f->call, &req,
			   on_file);
	}
	return false;
}

void file_forget_wait(struct file_wait *wait)
{
	list_remove(&wait->link);
}

void file_failed(struct file *f, int code, const struct err *err)
{
	free(f->why);
	f->why = mem_str(err->msg);
	f->failed = code;
	f->failed_ms = loop_now_ms(f->w->loop);
}

int file_failure(const struct file *f, struct err *err)
{
	if (!f->failed || loop_now_ms(f->w->loop) >= f->failed_ms + FAILED_MS)
		return 0;
	return err_set(err, f->failed, "%s", f->why);
}

bool file_is_empty(const struct worker *w, uint64_t id)
{
	const struct file *f = map_get(&w->files.by_id, id);

	return f && f->known && f->length == 0;
}

/* Who uses it goes on with it, but nothing of that is cached. */
void file_drop(struct worker *w, uint64_t id)
{
	struct file *f = map_get(&w->files.by_id, id);

	if (!f)
		return;
	map_remove(&w->files.by_id, id);
	f->dropped = true;
	if (f->users)
		return;
	list_remove(&f->link);
	w->files.n_idle--;
	forget(f);
}

void files_forget(struct worker *w)
{
	uint64_t *ids = mem_array(w->files.by_id.used, sizeof(*ids));
	struct map_slot *slot;
	size_t at = 0, n = 0;

	while ((slot = map_next(&w->files.by_id, &at)))
		ids[n++] = slot->key;
	while (n > 0)
		file_drop(w, ids[--n]);
	free(ids);
}

void files_close(struct worker *w)
{
	struct list *link;

	while ((link = list_pop_front(&w->files.idle)))
		forget(list_entry(link, struct file, link));
	map_close(&w->files.by_id);
}
