#include "lib/test.h"

#include <string.h>

#include "ufs/xml_mend.h"

static struct xml_mend m;
static struct text out;

static int teardown(void **state ATTR_UNUSED)
{
	xml_mend_close(&m);
	m = (struct xml_mend){ 0 };
	text_close(&out);
	return 0;
}

static int setup(void **state ATTR_UNUSED)
{
	return 0;
}

static void feed(const char *s, size_t len)
{
	const void *data = s;

	xml_mend(&m, &data, &len);
	text_addn(&out, data, len);
}

/* Whole, cut in two at each place, and byte by byte. */
static void check(const char *in, const char *wanted)
{
	size_t len = strlen(in), cut, i;

	for (cut = 0; cut <= len + 1; cut++) {
		text_clear(&out);
		text_addn(&out, "", 0);
		if (cut <= len) {
			feed(in, cut);
			feed(in + cut, len - cut);
		}
		for (i = 0; cut > len && i < len; i++)
			feed(in + i, 1);
		feed(".........", 9); /* nothing is kept behind it */
		feed(".", 1);
		assert_int_equal(out.len, strlen(wanted) + 10);
		assert_memory_equal(out.at, wanted, strlen(wanted));
	}
}

static void what_xml_knows_passes(void **state ATTR_UNUSED)
{
	check("", "");
	check("<a>text &amp; &quot;&lt;&#38;&#x26;&#9;&#xA;&#xd;</a>",
	      "<a>text &amp; &quot;&lt;&#38;&#x26;&#9;&#xA;&#xd;</a>");
	check("\xef\xbf\xbd \xef\xbc\xbe \xc3\xa9 \xf0\x9f\x98\x80",
	      "\xef\xbf\xbd \xef\xbc\xbe \xc3\xa9 \xf0\x9f\x98\x80");
	check("&nosemicolonanywhere &; &#; &#x; &#xzz; &#1",
	      "&nosemicolonanywhere &; &#; &#x; &#xzz; &#1");
	check("&#0;&#x0;", "&#0;&#x0;"); /* the parser refuses them */
}

static void what_xml_forbids_becomes_an_instruction(void **state ATTR_UNUSED)
{
	check("a&#x01;b", "a<?c 1?>b");
	check("&#x1f;&#X1;&#31;", "<?c 1f?>&#X1;<?c 1f?>");
	check("&#xFFFE;&#xffff;", "<?c fffe?><?c ffff?>");
	check("a\xef\xbf\xbe\xef\xbf\xbf", "a<?c fffe?><?c ffff?>");
	check("&&#x2;;\xef\xef\xbf\xbe", "&<?c 2?>;\xef<?c fffe?>");
}

TEST_MAIN(TEST_WITH(what_xml_knows_passes),
	  TEST_WITH(what_xml_forbids_becomes_an_instruction))
