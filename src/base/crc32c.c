#include "base/crc32c.h"

#include <isa-l/crc.h>

/* ISA-L counts in int. */
#define PIECE (UINT32_C(1) << 30)

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
	/* ISA-L only reads, but takes it without const. */
	unsigned char *at = (unsigned char *)(uintptr_t)buf;
	size_t n;

	/* ISA-L leaves both inversions to its caller. */
	for (crc = ~crc; len; at += n, len -= n) {
		n = len < PIECE ? len : PIECE;
		crc = crc32_iscsi(at, (int)n, crc);
	}
	return ~crc;
}
