#include <string.h>

#include "fuzz/seeds.h"

static const char page[] =
	"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name>"
	"<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
	"<NextContinuationToken>t</NextContinuationToken><Contents>"
	"<Key>a%2Fb</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
	"<ETag>&quot;e&quot;</ETag><Size>7</Size><Owner><ID>o</ID></Owner>"
	"</Contents><CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"
	"</ListBucketResult>";

static const char error[] = "<Error><Code>SlowDown</Code><Message>&#x6d;"
			    "</Message><Region>r</Region></Error>";

/* What XML forbids, and a NUL. */
static const char odd[] =
	"<ListBucketResult><Prefix>&#x01;&#2;\xef\xbf\xbe</Prefix>"
	"<EncodingType>url</EncodingType>"
	"<Contents><Key>a%00b</Key><ETag>e</ETag></Contents>"
	"<Contents><Key>&#x1f;</Key><ETag>e</ETag></Contents>"
	"<CommonPrefixes><Prefix>%00/</Prefix></CommonPrefixes>"
	"</ListBucketResult>";

void fuzz_seeds(fuzz_seed_fn give)
{
	give("page", (const uint8_t *)page, strlen(page));
	give("odd", (const uint8_t *)odd, strlen(odd));
	give("error", (const uint8_t *)error, strlen(error));
}
