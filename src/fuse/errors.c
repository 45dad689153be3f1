#include "fuse/errors.h"

#define LOG_MODULE "fuse"
#include "runtime/log.h"

int fuse_errno(int code)
{
	switch (code) {
#define ERROR_CASE(from, to, cause) \
	case from:                  \
		return to;
		FUSE_ERRORS(ERROR_CASE)
#undef ERROR_CASE
	default:
		log_warn("error without a row of its own",
			 "code=%d text=\"%s\"", code, err_text(code));
		return EIO;
	}
}
