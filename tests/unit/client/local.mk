check_PROGRAMS += %D%/test_call
%C%_test_call_SOURCES = %D%/test_call.c %D%/fake.c %D%/fake.h
%C%_test_call_LDADD = libtest.a $(CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_read
%C%_test_read_SOURCES = %D%/test_read.c %D%/fake.c %D%/fake.h
%C%_test_read_LDADD = libtest.a $(CLIENT_LIBS) $(CMOCKA_LIBS)
