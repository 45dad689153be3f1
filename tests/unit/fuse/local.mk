# What mounts for real, over a double of client/.
check_LIBRARIES += libtestfuse.a
libtestfuse_a_SOURCES =
libtestfuse_a_SOURCES += %D%/fake_client.c %D%/fake_client.h
libtestfuse_a_SOURCES += %D%/mounted.c %D%/mounted.h
libtestfuse_a_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(MSGPACK_CFLAGS)
TESTFUSE_LIBS = libfuse.a libtestfuse.a libtest.a libfuse.a $(RPC_LIBS) $(FUSE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test_session
%C%_test_session_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_buffers
%C%_test_buffers_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_dir
%C%_test_dir_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_errors
%C%_test_errors_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_journal
%C%_test_journal_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_read
%C%_test_read_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_readahead
%C%_test_readahead_LDADD = $(TESTFUSE_LIBS)

check_PROGRAMS += %D%/test_wait
%C%_test_wait_LDADD = $(TESTFUSE_LIBS)
%C%_test_wait_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS)

check_PROGRAMS += %D%/test_names
%C%_test_names_LDADD = $(TESTFUSE_LIBS)
%C%_test_names_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
