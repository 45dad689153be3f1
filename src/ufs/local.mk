noinst_LIBRARIES += libufs.a
libufs_a_SOURCES = \
	%D%/beneath.c %D%/beneath.h \
	%D%/http_client.c %D%/http_client.h \
	%D%/limit.c %D%/limit.h \
	%D%/own_dirs.c %D%/own_dirs.h \
	%D%/s3_adapt.c %D%/s3_adapt.h \
	%D%/s3_backoff.c %D%/s3_backoff.h \
	%D%/s3_call.c %D%/s3_call.h \
	%D%/s3_config.c %D%/s3_config.h \
	%D%/s3_credentials.c %D%/s3_credentials.h \
	%D%/s3_error.c %D%/s3_error.h \
	%D%/s3_request.c %D%/s3_request.h \
	%D%/s3_issuer.c %D%/s3_issuer.h \
	%D%/s3_keys.c %D%/s3_keys.h \
	%D%/s3_options.c %D%/s3_options.h \
	%D%/s3_profile.c %D%/s3_profile.h \
	%D%/s3_sign.c %D%/s3_sign.h \
	%D%/s3_verify.c %D%/s3_verify.h \
	%D%/s3_xml.c %D%/s3_xml.h \
	%D%/text.c %D%/text.h \
	%D%/ufs.c %D%/ufs.h \
	%D%/ufs_local.c \
	%D%/ufs_s3.c \
	%D%/xml_mend.c %D%/xml_mend.h
libufs_a_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(CRYPTO_CFLAGS) $(EXPAT_CFLAGS)
EXTRA_DIST += doc/under-storage.md
