noinst_LIBRARIES += libhttp.a
libhttp_a_SOURCES = \
	%D%/admin.c %D%/admin.h \
	%D%/http.c %D%/http.h \
	%D%/strict.c %D%/strict.h
libhttp_a_CFLAGS = $(AM_CFLAGS) $(MHD_CFLAGS)
