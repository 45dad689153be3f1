noinst_LIBRARIES += libruntime.a
libruntime_a_SOURCES = \
	%D%/config.h %D%/config_keys.h \
	%D%/io.c %D%/io.h \
	%D%/lock.h \
	%D%/log.c %D%/log.h \
	%D%/loop.c %D%/loop.h \
	%D%/loop_uv.c %D%/loop_uv.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/role.h \
	%D%/secret.h \
	%D%/task.h \
	%D%/watch.h \
	%D%/workpool.c %D%/workpool.h
libruntime_a_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(CRYPTO_CFLAGS) $(YAML_CFLAGS)
