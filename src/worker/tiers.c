/* What the store says of its tiers, as metrics and for reports. */

#include <stdio.h>
#include <string.h>

#include "runtime/metrics.h"
#include "worker/state.h"

/* The row of a tier. */
#define ROW(first, t) ((enum metric)(METRIC_##first##_memory + (t)-TIER_MEMORY))

static void count_tier(enum tier t, const struct store_tier *now,
		       const struct store_tier *was)
{
	metric_set(ROW(tier_capacity, t), now->capacity);
	metric_set(ROW(tier_used, t), now->used);
	metric_set(ROW(tier_files, t), now->files);
	metric_add(ROW(tier_hits, t), now->touched - was->touched);
	metric_add(ROW(promotions, t), now->promoted - was->promoted);
	metric_add(ROW(promoted_bytes, t),
		   now->promoted_bytes - was->promoted_bytes);
	metric_add(ROW(demotions, t), now->demoted - was->demoted);
	metric_add(ROW(demoted_bytes, t),
		   now->demoted_bytes - was->demoted_bytes);
}

void tiers_count(struct worker *w, const struct store_totals *t)
{
	enum tier i;

	for (i = TIER_FASTEST; i < N_TIERS; i++)
		count_tier(i, &t->tiers[i], &w->counted[i]);
	memcpy(w->counted, t->tiers, sizeof(w->counted));
	metric_set(METRIC_memory_capacity, t->memory_capacity);
	metric_set(METRIC_memory_used, t->memory_used);
}

schema_tier_info_array tiers_infos(const struct store_totals *totals,
				   struct tier_info *infos)
{
	const struct store_tier *tier;
	enum tier t;
	size_t n = 0;

	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		tier = &totals->tiers[t];
		if (!tier->dirs)
			continue;
		infos[n++] = (struct tier_info){
			.name = { tier_name(t), strlen(tier_name(t)) },
			.capacity = tier->capacity,
			.used = tier->used,
			.files = tier->files,
		};
	}
	return (schema_tier_info_array){ infos, n };
}

static void add(struct tier_numbers *n, enum tier t, const char *what,
		uint64_t value)
{
	char *name = n->names[n->n];

	snprintf(name, sizeof(n->names[0]), "%s %s", tier_name(t), what);
	n->at[n->n++] = (struct named_number){
		.name = { name, strlen(name) },
		.value = value,
	};
}

void tiers_numbers(const struct store_totals *totals, struct tier_numbers *out)
{
	const struct store_tier *tier;
	enum tier t;

	out->n = 0;
	for (t = TIER_FASTEST; t < N_TIERS; t++) {
		tier = &totals->tiers[t];
		if (!tier->dirs)
			continue;
		add(out, t, "capacity", tier->capacity);
		add(out, t, "used", tier->used);
		add(out, t, "files", tier->files);
		add(out, t, "hits", tier->touched);
		add(out, t, "promoted", tier->promoted);
		add(out, t, "demoted", tier->demoted);
	}
}
