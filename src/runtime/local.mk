noinst_LIBRARIES += libruntime.a
libruntime_a_SOURCES =
libruntime_a_SOURCES += %D%/config.h
libruntime_a_SOURCES += %D%/config_keys.h
libruntime_a_SOURCES += %D%/io.c %D%/io.h
libruntime_a_SOURCES += %D%/lock.h
libruntime_a_SOURCES += %D%/log.c %D%/log.h
libruntime_a_SOURCES += %D%/loop.c %D%/loop.h
libruntime_a_SOURCES += %D%/loop_uv.c %D%/loop_uv.h
libruntime_a_SOURCES += %D%/metrics.c %D%/metrics.h
libruntime_a_SOURCES += %D%/mountpoint.c %D%/mountpoint.h
libruntime_a_SOURCES += %D%/role.h
libruntime_a_SOURCES += %D%/secret.h
libruntime_a_SOURCES += %D%/task.h
libruntime_a_SOURCES += %D%/watch.h
libruntime_a_SOURCES += %D%/workpool.c %D%/workpool.h
libruntime_a_SOURCES = \
	%D%/config.h %D%/config_keys.h \
	%D%/io.c %D%/io.h \
	%D%/lock.h \
	%D%/log.c %D%/log.h \
	%D%/loop.c %D%/loop.h \
	%D%/loop_uv.c %D%/loop_uv.h \
	%D%/metrics.h \
	%D%/role.h \
	%D%/secret.c %D%/secret.h \
	%D%/task.h \
	%D%/watch.c %D%/watch.h \
	%D%/workpool.c %D%/workpool.h
libruntime_a_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(CRYPTO_CFLAGS) $(YAML_CFLAGS)
