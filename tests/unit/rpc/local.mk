check_PROGRAMS += \
	%D%/test_client
%C%_test_client_LDADD = libtest.a $(RPC_LIBS) $(CMOCKA_LIBS)
