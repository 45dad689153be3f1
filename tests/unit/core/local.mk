check_PROGRAMS += %D%/test_evictor_lru
%C%_test_evictor_lru_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_evictor_retain
check_PROGRAMS += %D%/test_ghosts
%C%_test_evictor_retain_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)
%C%_test_ghosts_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)
