noinst_LIBRARIES += libbase.a
libbase_a_SOURCES =
libbase_a_SOURCES += %D%/defs.h
libbase_a_SOURCES += %D%/err.c %D%/err.h
libbase_a_SOURCES += %D%/list.h
libbase_a_SOURCES += %D%/map.c %D%/map.h
libbase_a_SOURCES += %D%/mem.c %D%/mem.h
libbase_a_SOURCES += %D%/option.c %D%/option.h
