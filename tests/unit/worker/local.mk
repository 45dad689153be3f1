WORKER_FIXTURE = %D%/worker_fixture.c %D%/worker_fixture.h
check_PROGRAMS += %D%/test_read
%C%_test_read_SOURCES = %D%/test_read.c $(WORKER_FIXTURE)
%C%_test_read_LDADD = libtest.a $(WORKER_LIBS) $(CMOCKA_LIBS)
