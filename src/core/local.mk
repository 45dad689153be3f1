noinst_LIBRARIES += libcore.a
libcore_a_SOURCES =
libcore_a_SOURCES += %D%/evictor.h
libcore_a_SOURCES += %D%/evictor_lru.c
libcore_a_SOURCES += %D%/namespace.h
libcore_a_SOURCES += %D%/placement.h
libcore_a_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
