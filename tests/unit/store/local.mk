STORE_FIXTURE = %D%/store_fixture.c %D%/store_fixture.h
check_PROGRAMS += %D%/test_store
%C%_test_store_SOURCES = %D%/test_store.c $(STORE_FIXTURE)
%C%_test_store_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
