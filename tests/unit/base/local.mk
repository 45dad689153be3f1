check_PROGRAMS += %D%/test_crc32c
check_PROGRAMS += %D%/test_err
check_PROGRAMS += %D%/test_map
check_PROGRAMS += %D%/test_option
%C%_test_crc32c_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
%C%_test_err_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
%C%_test_map_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
%C%_test_option_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
