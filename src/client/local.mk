noinst_LIBRARIES += libclient.a
libclient_a_SOURCES = \
	%D%/call.c \
	%D%/client.c %D%/client.h \
	%D%/grants.c \
	%D%/internal.h \
	%D%/read.c \
	%D%/workers.c
libclient_a_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
