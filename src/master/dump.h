/*
 * A journal record as one line of JSON, for people: `admin journal dump`.
 *
 * Nothing that is or was a secret is in it: a sealed value, and the value of an
 * option whose name speaks of one, is "(sealed)".
 */
#pragma once

#include <stdint.h>

#include "wire/journal.h"

/* The caller's to free; a long array is cut, its length stays. */
char *dump_record(uint64_t index, const struct journal_record *record);
