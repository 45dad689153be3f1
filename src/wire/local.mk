noinst_LIBRARIES += libwire.a
libwire_a_SOURCES =
libwire_a_SOURCES += %D%/frame.c %D%/frame.h
libwire_a_SOURCES += %D%/journal.c %D%/journal.h
libwire_a_SOURCES += %D%/messages.c %D%/messages.h
libwire_a_SOURCES += %D%/schema.c %D%/schema.h
libwire_a_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
