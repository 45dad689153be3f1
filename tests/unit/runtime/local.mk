check_PROGRAMS += \
	%D%/test_loop \
	%D%/test_metrics \
	%D%/test_workpool
%C%_test_loop_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
%C%_test_metrics_LDADD = $(RUNTIME_LIBS) $(CMOCKA_LIBS)
%C%_test_workpool_LDADD = libtest.a $(RUNTIME_LIBS) $(CMOCKA_LIBS)
