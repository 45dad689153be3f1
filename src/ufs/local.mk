noinst_LIBRARIES += libufs.a
libufs_a_SOURCES =
libufs_a_SOURCES += %D%/beneath.c %D%/beneath.h
libufs_a_SOURCES += %D%/ufs.c %D%/ufs.h
libufs_a_SOURCES += %D%/ufs_local.c
libufs_a_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(CRYPTO_CFLAGS) $(EXPAT_CFLAGS)
