noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	%D%/evictor.h \
	%D%/evictor_lru.c \
	%D%/namespace.h \
	%D%/placement.h
libcore_a_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
