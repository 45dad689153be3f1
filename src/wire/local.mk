noinst_LIBRARIES += libwire.a
libwire_a_SOURCES = \
	%D%/frame.c %D%/frame.h \
	%D%/journal.c %D%/journal.h \
	%D%/messages.c %D%/messages.h \
	%D%/schema.c %D%/schema.h
libwire_a_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
