check_PROGRAMS += %D%/test_backing_file
%C%_test_backing_file_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
