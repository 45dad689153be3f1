check_PROGRAMS += %D%/test_entry
%C%_test_entry_LDADD = libtest.a $(MASTER_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_journal
%C%_test_journal_LDADD = libtest.a $(MASTER_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_master
%C%_test_master_LDADD = libtest.a $(MASTER_LIBS) $(CMOCKA_LIBS)
