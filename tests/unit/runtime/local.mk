check_PROGRAMS += %D%/test_loop
check_PROGRAMS += %D%/test_metrics
check_PROGRAMS += %D%/test_workpool
check_PROGRAMS += \
	%D%/test_loop \
	%D%/test_secret \
	%D%/test_watch \
	%D%/test_workpool
%C%_test_loop_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
%C%_test_metrics_LDADD = $(RUNTIME_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_mountpoint
%C%_test_mountpoint_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
%C%_test_workpool_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
%C%_test_secret_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
%C%_test_watch_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
