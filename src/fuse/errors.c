#include "fuse/errors.h"

int fuse_errno(int code)
{
	switch (code) {
#define ERROR_CASE(from, to, cause) \
	case from:                  \
		return to;
		FUSE_ERRORS(ERROR_CASE)
#undef ERROR_CASE
	default:
		return EIO;
	}
}
