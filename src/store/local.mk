noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	%D%/backing_file.c %D%/backing_file.h \
	%D%/store.h
