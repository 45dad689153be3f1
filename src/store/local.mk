noinst_LIBRARIES += libstore.a
libstore_a_SOURCES =
libstore_a_SOURCES += %D%/backing_file.c %D%/backing_file.h
libstore_a_SOURCES += %D%/store.h
