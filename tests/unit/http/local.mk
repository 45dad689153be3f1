check_PROGRAMS += \
	%D%/test_http
%C%_test_http_LDADD = libtest.a $(HTTP_LIBS) $(CMOCKA_LIBS)
