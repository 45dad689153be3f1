check_PROGRAMS += %D%/test_cli
%C%_test_cli_CPPFLAGS = $(AM_CPPFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
%C%_test_cli_LDADD = libtest.a $(CLI_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_text
%C%_test_text_CPPFLAGS = $(AM_CPPFLAGS) $(MSGPACK_CFLAGS) $(JANSSON_CFLAGS)
%C%_test_text_LDADD = libtest.a $(CLI_LIBS) $(CMOCKA_LIBS)
