noinst_LIBRARIES += libcli.a
libcli_a_SOURCES =
libcli_a_SOURCES += %D%/cli.c %D%/cli.h
