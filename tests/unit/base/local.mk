check_PROGRAMS += \
	%D%/test_err \
	%D%/test_map
%C%_test_err_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
%C%_test_map_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
