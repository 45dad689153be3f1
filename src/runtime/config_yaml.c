#include "runtime/config_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"

#define MAX_DEPTH 8 /* an alias may make a node its own child */

struct walk {
	const struct config_yaml_reader *r;
	const char *file;
	yaml_document_t doc;
	struct err *err;
};

static unsigned line_of(const yaml_node_t *n)
{
	return (unsigned)n->start_mark.line + 1;
}

static int refuse(struct walk *w, const yaml_node_t *n, const char *key,
		  const char *why)
{
	return err_set(w->err, -EINVAL, "%s:%u: %s%s%s", w->file, line_of(n),
		       key, *key ? ": " : "", why);
}

static const char *scalar(const yaml_node_t *n)
{
	return (const char *)n->data.scalar.value;
}

/* "path: /a", "capacity: 1G" and perhaps "tier: ssd" of a map as "/a=1G:ssd";
 * NULL if it is not that. */
static char *dir_text(struct walk *w, yaml_node_t *n)
{
	const char *path = NULL, *capacity = NULL, *tier = NULL;
	yaml_node_t *key, *value;
	yaml_node_pair_t *p;

	for (p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		key = yaml_document_get_node(&w->doc, p->key);
		value = yaml_document_get_node(&w->doc, p->value);
		if (key->type != YAML_SCALAR_NODE ||
		    value->type != YAML_SCALAR_NODE)
			return NULL;
		if (strcmp(scalar(key), "path") == 0)
			path = scalar(value);
		else if (strcmp(scalar(key), "capacity") == 0)
			capacity = scalar(value);
		else if (strcmp(scalar(key), "tier") == 0)
			tier = scalar(value);
		else
			return NULL;
	}
	if (!path || !capacity)
		return NULL;
	return mem_printf("%s=%s%s%s", path, capacity, tier ? ":" : "",
			  tier ? tier : "");
}

/* One item of a list, or NULL. */
static char *item_text(struct walk *w, yaml_node_t *n)
{
	if (n->type == YAML_SCALAR_NODE)
		return mem_str(scalar(n));
	return n->type == YAML_MAPPING_NODE ? dir_text(w, n) : NULL;
}

static int set_list(struct walk *w, const char *key, yaml_node_t *n)
{
	char *text = mem_str(""), *item, *more;
	yaml_node_item_t *i;
	yaml_node_t *node;
	int rv = 0;

	for (i = n->data.sequence.items.start;
	     i < n->data.sequence.items.top && rv == 0; i++) {
		node = yaml_document_get_node(&w->doc, *i);
		item = item_text(w, node);
		if (!item || strchr(item, ',')) {
			rv = refuse(
				w, node, key,
				"a list here has plain words without "
				"commas, or maps of path, capacity and tier");
		} else {
			more = mem_printf("%s%s%s", text, *text ? ", " : "",
					  item);
			free(text);
			text = more;
		}
		free(item);
	}
	if (rv == 0)
		rv = w->r->set(w->r->owner, key, text, line_of(n), w->err);
	free(text);
	return rv;
}

static int walk_map(struct walk *w, const char *prefix, yaml_node_t *map,
		    unsigned depth);

static int walk_pair(struct walk *w, const char *key, yaml_node_t *key_node,
		     yaml_node_t *value, unsigned depth)
{
	if (value->type == YAML_MAPPING_NODE && !w->r->is_key(key))
		return walk_map(w, key, value, depth + 1);
	if (value->type == YAML_SEQUENCE_NODE && w->r->is_key(key))
		return set_list(w, key, value);
	if (value->type == YAML_MAPPING_NODE)
		return refuse(w, value, key, "this is no map but one value");
	/* A list under an unknown name is refused for the name. */
	return w->r->set(w->r->owner, key,
			 value->type == YAML_SCALAR_NODE ? scalar(value) : "",
			 line_of(key_node), w->err);
}

static int walk_map(struct walk *w, const char *prefix, yaml_node_t *map,
		    unsigned depth)
{
	yaml_node_t *key_node, *value;
	yaml_node_pair_t *p;
	char *key;
	int rv = 0;

	if (map->type != YAML_MAPPING_NODE)
		return refuse(w, map, prefix, "a map of keys is wanted here");
	if (depth > MAX_DEPTH)
		return refuse(w, map, "", "too many maps inside each other");
	for (p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top && rv == 0; p++) {
		key_node = yaml_document_get_node(&w->doc, p->key);
		value = yaml_document_get_node(&w->doc, p->value);
		if (key_node->type != YAML_SCALAR_NODE)
			return refuse(w, key_node, prefix, "a key is a word");
		key = mem_printf("%s%s%s", prefix, *prefix ? "." : "",
				 scalar(key_node));
		rv = walk_pair(w, key, key_node, value, depth);
		free(key);
	}
	return rv;
}

static int parse(struct walk *w, FILE *f)
{
	yaml_parser_t parser;
	yaml_node_t *root;
	int rv = 0;

	if (!yaml_parser_initialize(&parser))
		return err_set(w->err, -ENOMEM, "%s: out of memory", w->file);
	yaml_parser_set_input_file(&parser, f);
	if (!yaml_parser_load(&parser, &w->doc)) {
		rv = err_set(w->err, -EINVAL, "%s:%zu: %s", w->file,
			     parser.problem_mark.line + 1,
			     parser.problem ? parser.problem : "not YAML");
		yaml_parser_delete(&parser);
		return rv;
	}
	root = yaml_document_get_root_node(&w->doc);
	if (root && !(root->type == YAML_SCALAR_NODE && !*scalar(root)))
		rv = walk_map(w, "", root, 0);
	yaml_document_delete(&w->doc);
	yaml_parser_delete(&parser);
	return rv;
}

int config_yaml_read(const struct config_yaml_reader *r, const char *file,
		     struct err *err)
{
	struct walk w = { .r = r, .file = file, .err = err };
	FILE *f = fopen(file, "re");
	int rv;

	if (!f)
		return err_set(err, -errno, "%s: %m", file);
	rv = parse(&w, f);
	fclose(f);
	return rv;
}
