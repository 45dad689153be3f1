noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	%D%/defs.h \
	%D%/err.c %D%/err.h \
	%D%/list.h \
	%D%/map.c %D%/map.h \
	%D%/mem.c %D%/mem.h \
	%D%/option.c %D%/option.h
