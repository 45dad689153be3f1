/*
 * XML with what XML 1.0 forbids and S3 servers send all the same: keys with
 * control characters or noncharacters, in fields that they do not encode
 * (Ceph: the prefix and the continuation token).  Each comes out as a
 * processing instruction, <?c HEX?>, which no server sends.
 *
 * Bytes in pieces; what may be the beginning of such a character is kept for
 * the next one.  Where there is none, nothing is copied.
 */
#pragma once

#include "ufs/text.h"

#define XML_MEND_TARGET "c"

enum { XML_MEND_KEPT = 10 };

/* All 0 to begin. */
struct xml_mend {
	char kept[XML_MEND_KEPT];
	size_t n_kept;
	struct text in, out; /* of this piece */
};

/* Replaces a piece by what is to be parsed instead, valid until the next. */
void xml_mend(struct xml_mend *m, const void **data, size_t *len);

void xml_mend_reset(struct xml_mend *m);
void xml_mend_close(struct xml_mend *m);
