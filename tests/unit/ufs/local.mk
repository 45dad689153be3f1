check_PROGRAMS += %D%/test_ufs_local
check_PROGRAMS += \
	%D%/test_beneath \
	%D%/test_ufs_local
%C%_test_beneath_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_ufs_local_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
