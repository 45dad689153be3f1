WORKER_FIXTURE = %D%/worker_fixture.c %D%/worker_fixture.h
check_PROGRAMS += %D%/test_control
check_PROGRAMS += %D%/test_history
check_PROGRAMS += %D%/test_read
check_PROGRAMS += %D%/test_serve
check_PROGRAMS += %D%/test_shares
%C%_test_control_SOURCES = %D%/test_control.c $(WORKER_FIXTURE)
%C%_test_control_LDADD = libtest.a $(WORKER_LIBS) $(CMOCKA_LIBS)
%C%_test_history_LDADD = $(WORKER_LIBS) $(CMOCKA_LIBS)
%C%_test_read_SOURCES = %D%/test_read.c $(WORKER_FIXTURE)
%C%_test_read_LDADD = libtest.a $(WORKER_LIBS) $(CMOCKA_LIBS)
%C%_test_read_LDFLAGS = -Wl,--wrap=store_fill
%C%_test_serve_SOURCES = %D%/test_serve.c $(WORKER_FIXTURE)
%C%_test_serve_LDADD = libtest.a $(WORKER_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_rot
%C%_test_rot_SOURCES = %D%/test_rot.c $(WORKER_FIXTURE)
%C%_test_rot_LDADD = libtest.a $(WORKER_LIBS) $(CMOCKA_LIBS)
%C%_test_shares_LDADD = $(WORKER_LIBS) $(CMOCKA_LIBS)
