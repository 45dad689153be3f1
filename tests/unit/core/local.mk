check_PROGRAMS += %D%/test_evictor_lru
%C%_test_evictor_lru_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)
