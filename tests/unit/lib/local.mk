# Of what tests stand on.
check_PROGRAMS += %D%/test_fake_ufs
%C%_test_fake_ufs_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
