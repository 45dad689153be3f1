# What mounts for real, over a double of client/.
check_LIBRARIES += libtestfuse.a
libtestfuse_a_SOURCES =
libtestfuse_a_SOURCES += %D%/fake_client.c %D%/fake_client.h
libtestfuse_a_SOURCES += %D%/mounted.c %D%/mounted.h
libtestfuse_a_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(MSGPACK_CFLAGS)
TESTFUSE_LIBS = libfuse.a libtestfuse.a libtest.a libfuse.a $(RPC_LIBS) $(FUSE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test_session
%C%_test_session_LDADD = $(TESTFUSE_LIBS)
