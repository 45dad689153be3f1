/* Whatever a server answers, in whatever pieces: what comes out is whole. */

#include <assert.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "ufs/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct s3_listing *l;
	struct s3_xml *x = s3_xml_new();
	size_t i, first = size ? data[0] % size : 0;

	if (!s3_xml_feed(x, data, first) &&
	    !s3_xml_feed(x, data + first, size - first) &&
	    s3_xml_finish(x) == S3_ROOT_LISTING) {
		l = s3_xml_listing(x);
		for (i = 0; i < l->n_objects; i++)
			assert(l->objects[i].key && l->objects[i].etag);
		for (i = 0; i < l->n_prefixes; i++)
			assert(strlen(l->prefixes[i]) <= size);
		for (i = 0; i < l->n_nuls; i++)
			assert(strstr(l->nuls[i], "%00"));
		assert(!l->truncated || l->next);
	}
	s3_xml_reset(x);
	assert(s3_xml_listing(x)->n_objects == 0);
	s3_xml_free(x);
	return 0;
}
